import ArgumentParser

/// The command line of the agent. Values stay text here: they are checked where those of files are, so that both give
/// the same answers.
struct AgentOptions: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nomadd",
    abstract: "Form and keep a Nomad cluster: run a server agent, a client agent, or both.",
    discussion: """
      Settings come from the files of --config, in order, and from the options below, which win over files. \
      Options may be written with one dash or two, as -name value or --name=value.

      A server of three, the same on each machine:
        nomadd --config server.hcl --data-dir /var/lib/nomad
        nomadd --server --bootstrap-expect 3 --retry-join 10.0.0.1 --data-dir /d
      A client of them:
        nomadd --client --servers 10.0.0.1:4647 --data-dir /d
      """)

  @Option(
    help: ArgumentHelp("File, or directory of *.hcl and *.json files. Repeatable; later files win.", valueName: "path"))
  var config: [String] = []

  @Flag(help: "Server and client in one process on 127.0.0.1, in memory.")
  var dev = false

  @Flag(help: "Enable server mode.")
  var server = false

  @Flag(help: "Enable client mode.")
  var client = false

  @Option(help: ArgumentHelp("Number of servers that form the first quorum.", valueName: "number"))
  var bootstrapExpect: String?

  @Option(
    help: ArgumentHelp(
      "Address to join in the background until one answers: host, host:port, provider=srv ... or exec=... Repeatable.",
      valueName: "address"))
  var retryJoin: [String] = []

  @Option(
    help: ArgumentHelp(
      "Address to join before the agent starts; fatal if none answers. Repeatable.", valueName: "address"))
  var join: [String] = []

  @Option(help: ArgumentHelp("Pause between two join attempts, such as 30s.", valueName: "duration"))
  var retryInterval: String?

  @Option(help: ArgumentHelp("Join attempts after the first; 0 for ever.", valueName: "number"))
  var retryMax: String?

  @Flag(help: "Rejoin the cluster after a graceful leave.")
  var rejoin = false

  @Option(
    help: ArgumentHelp(
      "RPC addresses of servers for a client, separated by commas. Repeatable.", valueName: "addresses"))
  var servers: [String] = []

  @Option(help: ArgumentHelp("Address to listen on.", valueName: "address"))
  var bind: String?

  @Option(help: ArgumentHelp("Address that others are told, for all three services.", valueName: "address"))
  var advertise: String?

  @Option(help: ArgumentHelp("Address that others are told for HTTP.", valueName: "address[:port]"))
  var advertiseHttp: String?

  @Option(help: ArgumentHelp("Address that others are told for RPC.", valueName: "address[:port]"))
  var advertiseRpc: String?

  @Option(help: ArgumentHelp("Address that others are told for gossip.", valueName: "address[:port]"))
  var advertiseSerf: String?

  @Option(help: ArgumentHelp("HTTP port (default 4646).", valueName: "port"))
  var httpPort: String?

  @Option(help: ArgumentHelp("RPC port (default 4647).", valueName: "port"))
  var rpcPort: String?

  @Option(help: ArgumentHelp("Gossip port (default 4648).", valueName: "port"))
  var serfPort: String?

  @Option(help: ArgumentHelp("Absolute directory for the agent's state.", valueName: "directory"))
  var dataDir: String?

  @Option(
    name: [.long, .customLong("node")],
    help: ArgumentHelp("Name of this agent, unique in its region (default: the host name).", valueName: "name"))
  var name: String?

  @Option(help: ArgumentHelp("Region (default global).", valueName: "name"))
  var region: String?

  @Option(help: ArgumentHelp("Datacenter (default dc1).", valueName: "name"))
  var dc: String?

  @Option(help: ArgumentHelp("TRACE, DEBUG, INFO, WARN, ERROR or OFF.", valueName: "level"))
  var logLevel: String?

  @Flag(help: "Log as JSON.")
  var logJson = false

  @Option(help: ArgumentHelp("Gossip key: base64 of 16, 24 or 32 bytes.", valueName: "key"))
  var encrypt: String?

  @Option(help: ArgumentHelp("Raft protocol, 2 or 3 (default 3).", valueName: "number"))
  var raftProtocol: String?

  @Option(help: ArgumentHelp("Factor on the Raft timeouts, 1 to 10.", valueName: "number"))
  var raftMultiplier: String?

  @Option(help: ArgumentHelp("Class of this client node.", valueName: "name"))
  var nodeClass: String?

  @Option(help: ArgumentHelp("Pool of this client node.", valueName: "name"))
  var nodePool: String?

  @Option(help: ArgumentHelp("Metadata of this client node. Repeatable.", valueName: "key=value"))
  var meta: [String] = []

  @Option(help: ArgumentHelp("Absolute directory for the client's identity.", valueName: "directory"))
  var stateDir: String?

  @Option(help: ArgumentHelp("Interface whose address the client node reports.", valueName: "name"))
  var networkInterface: String?

  @Option(help: .hidden)
  var allocDir: String?

  @Option(help: .hidden)
  var pluginDir: String?

  @Flag(help: .hidden)
  var aclEnabled = false

  @Flag(name: [.long, .customShort("v")], help: "Print the version.")
  var version = false
}

extension AgentOptions {
  /// Options of Nomad's agent that change nothing here, so that existing command lines start.
  static let ignoredWithValue: Set<String> = [
    "network-speed", "acl-replication-token", "alloc-mounts-dir", "preferred-address-family", "host-volumes-dir",
    "host-volume-plugin-dir", "client-intro-token",
    "consul-address", "consul-auth", "consul-ca-file", "consul-cert-file", "consul-key-file",
    "consul-client-service-name", "consul-client-http-check-name", "consul-server-service-name",
    "consul-server-http-check-name", "consul-server-serf-check-name", "consul-server-rpc-check-name", "consul-token",
    "vault-token", "vault-address", "vault-namespace", "vault-create-from-role", "vault-ca-file", "vault-ca-path",
    "vault-cert-file", "vault-key-file", "vault-tls-server-name",
  ]

  static let ignoredSwitches: Set<String> = [
    "log-include-location", "consul-auto-advertise", "consul-checks-use-advertise", "consul-client-auto-join",
    "consul-server-auto-join", "consul-ssl", "consul-verify-ssl", "consul-allow-unauthenticated",
    "vault-enabled", "vault-allow-unauthenticated", "vault-tls-skip-verify",
  ]

  /// Options that would need programs beside the agent.
  static let refused: Set<String> = ["dev-connect", "dev-consul", "dev-vault"]

  /// The flags above. Go's flags also take a value, `-server=true`, which ArgumentParser's do not.
  static let switches: Set<String> = [
    "dev", "server", "client", "rejoin", "log-json", "acl-enabled", "version", "help",
  ]
}
