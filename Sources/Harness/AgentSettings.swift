import Base

/// What an agent is told in its configuration file, in the part of Nomad's language that every version understands.
public struct AgentSettings: Sendable {
  public enum Role: Sendable {
    /// `expect` 0 leaves `bootstrap_expect` out.
    case server(expect: Int)
    /// `servers`: RPC addresses, with or without port.
    case client(servers: [String])
  }

  public struct Ports: Sendable, Equatable {
    public var http: UInt16
    public var rpc: UInt16
    public var serf: UInt16

    public static let standard = Ports(http: 4646, rpc: 4647, serf: 4648)

    public init(http: UInt16, rpc: UInt16, serf: UInt16) {
      self.http = http
      self.rpc = rpc
      self.serf = serf
    }
  }

  public var name: String
  public var region = "global"
  public var datacenter = "dc1"
  public var address: IPAddress
  public var ports = Ports.standard
  public var dataDirectory: String
  public var role: Role
  /// Gossip addresses for `retry_join`; empty leaves the block out.
  public var retryJoin: [String] = []
  /// Go duration text; `nil` leaves the agent's default.
  public var retryInterval: String?
  public var logLevel = "INFO"
  /// Further lines at the top level of the file.
  public var extra = ""

  public init(name: String, address: IPAddress, dataDirectory: String, role: Role) {
    self.name = name
    self.address = address
    self.dataDirectory = dataDirectory
    self.role = role
  }

  public var httpAddress: SocketAddress { SocketAddress(address, port: ports.http) }
  /// As `/v1/status/leader` shows it.
  public var rpcAddress: SocketAddress { SocketAddress(address, port: ports.rpc) }
  public var serfAddress: SocketAddress { SocketAddress(address, port: ports.serf) }

  public var isServer: Bool { if case .server = role { true } else { false } }

  /// The configuration file's text (HCL).
  public var hcl: String {
    var lines = [
      "name       = \(quoted(name))",
      "region     = \(quoted(region))",
      "datacenter = \(quoted(datacenter))",
      "data_dir   = \(quoted(dataDirectory))",
      "bind_addr  = \"\(address)\"",
      "log_level  = \(quoted(logLevel))",
      // Loopback is never advertised unless it is asked for.
      "advertise {", "  http = \"\(address)\"", "  rpc  = \"\(address)\"", "  serf = \"\(address)\"", "}",
    ]
    if ports != .standard {
      lines += ["ports {", "  http = \(ports.http)", "  rpc  = \(ports.rpc)", "  serf = \(ports.serf)", "}"]
    }
    switch role {
    case .server(let expect):
      lines += ["server {", "  enabled = true"]
      if expect > 0 { lines.append("  bootstrap_expect = \(expect)") }
      if !retryJoin.isEmpty {
        lines += ["  server_join {", "    retry_join = \(list(retryJoin))"]
        if let retryInterval { lines.append("    retry_interval = \(quoted(retryInterval))") }
        lines.append("  }")
      }
    case .client(let servers):
      lines += ["client {", "  enabled = true", "  servers = \(list(servers))"]
    }
    lines.append("}")
    if !extra.isEmpty { lines.append(extra) }
    return lines.joined(separator: "\n") + "\n"
  }

  private func quoted(_ text: String) -> String {
    "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
  }

  private func list(_ texts: [String]) -> String { "[" + texts.map(quoted).joined(separator: ", ") + "]" }
}
