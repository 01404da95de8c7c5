import Base
import FoundationEssentials
import HTTP
import Harness

/// One server of a mixed region in a process of its own: ours, or the stand-in for the original (`go/originalserver`).
/// Both keep their data over a crash.
final class RegionServer {
  enum Kind: Hashable, CustomStringConvertible {
    case original, nomadd
    var description: String { self == .original ? "original" : "nomadd" }
  }

  let kind: Kind
  let name: String
  let address: IPAddress
  private let expect: Int
  private let protocolVersion: Int
  private let directory: String
  private let program: String
  private let options: [String]
  private let extra: String
  private var process: ChildProcess?

  /// `options` are words for the stand-in, `extra` is a line for the `server` block of ours.
  init(
    _ kind: Kind, _ name: String, expect: Int, protocolVersion: Int = 3, program: String, options: [String] = [],
    extra: String = "", in directory: TemporaryDirectory
  ) throws {
    self.kind = kind
    self.name = name
    self.expect = expect
    self.protocolVersion = protocolVersion
    self.program = program
    self.options = options
    self.extra = extra
    address = try Loopback.address()
    self.directory = try directory.makeDirectory(name)
  }

  var rpcAddress: String { "\(address):4647" }
  var isRunning: Bool { process != nil }
  var account: String {
    "\(name) (\(kind), \(address)): \(isRunning ? "up" : "down")\n" + FileText.tail("\(directory)/log", lines: 25)
  }

  /// The end of a process that should be there.
  var unexpectedEnd: HarnessError? {
    guard let process, let end = process.result else { return nil }
    return .agentEnded(name, "\(end)", output: FileText.tail("\(directory)/log", lines: 25))
  }

  func start(joining peers: [RegionServer]) throws {
    let others = peers.filter { $0 !== self }
    var arguments = [program]
    switch kind {
    case .original:
      arguments += [
        "-name", name, "-host", "\(address)", "-data", "\(directory)/data", "-expect", "\(expect)", "-protocol",
        "\(protocolVersion)",
      ]
      if !others.isEmpty { arguments += ["-join", others.map { "\($0.address):4648" }.joined(separator: ",")] }
      arguments += options
    case .nomadd:
      try FileText.write(configuration(joining: others), to: "\(directory)/agent.hcl")
      arguments += ["--config", "\(directory)/agent.hcl"]
    }
    process = try ChildProcess(arguments, output: "\(directory)/log")
  }

  private func configuration(joining others: [RegionServer]) -> String {
    var lines = [
      "name = \"\(name)\"", "data_dir = \"\(directory)/data\"", "bind_addr = \"\(address)\"", "log_level = \"DEBUG\"",
      "advertise {", "  http = \"\(address)\"", "  rpc = \"\(address)\"", "  serf = \"\(address)\"", "}",
      // Nobody beats for the clients that are registered, and one that goes down changes what is compared.
      "server {", "  enabled = true", "  heartbeat_grace = \"1h\"",
      "  raft_protocol = \(protocolVersion)", "  \(extra)",
    ]
    if expect > 0 { lines.append("  bootstrap_expect = \(expect)") }
    if !others.isEmpty {
      lines.append("  server_join {")
      lines.append("    retry_join = [\(others.map { "\"\($0.address)\"" }.joined(separator: ", "))]")
      lines.append("  }")
    }
    return (lines + ["}"]).joined(separator: "\n") + "\n"
  }

  /// SIGKILL.
  func crash() {
    process?.end()
    process = nil
  }

  /// The stand-in's log goes; its id stays. Precondition: it does not run.
  func forgetLog() throws {
    precondition(!isRunning && kind == .original)
    try FileManager.default.removeItem(atPath: "\(directory)/data/raft.db")
    try FileManager.default.removeItem(atPath: "\(directory)/data/snapshots")
  }

  // MARK: What it believes

  /// `nil` while it does not answer, or answers with an error.
  func ask(_ target: String, _ method: String = "GET", body: String = "", on stage: Stage) throws -> JSON? {
    let caller = HTTPCaller(to: SocketAddress(address, port: 4646))
    caller.send(method, target, body: Array(body.utf8))
    var answer: HTTPResponse?
    try stage.wait("\(target) of \(name)", state: { account }) {
      if let unexpectedEnd { throw unexpectedEnd }
      switch caller.advance() {
      case .waiting: return false
      case .failed: return true
      case .answered(let response):
        answer = response
        return true
      }
    }
    guard let answer, answer.status == 200 else { return nil }
    return try JSON(parsing: answer.body)
  }

  /// The address of the leader it knows.
  func leader(on stage: Stage) throws -> String? {
    let text =
      switch kind {
      case .original: try ask("/state", on: stage)?["Leader"].text
      case .nomadd: try ask("/v1/status/leader?stale", on: stage)?.text
      }
    return text?.isEmpty ?? true ? nil : text
  }

  /// `id address suffrage` of each server in Raft's configuration, sorted.
  func configuration(on stage: Stage) throws -> [String] {
    switch kind {
    case .original:
      return try ask("/state", on: stage)?["Configuration"].elements.compactMap(\.text) ?? []
    case .nomadd:
      let servers = try ask("/v1/operator/raft/configuration?stale", on: stage)?["Servers"].elements ?? []
      return servers.map { server in
        let suffrage = server["Voter"].flag == true ? "Voter" : "Nonvoter"
        return "\(server["ID"].text ?? "") \(server["Address"].text ?? "") \(suffrage)"
      }.sorted()
    }
  }

  /// `name status tags` of each member, sorted.
  func members(on stage: Stage) throws -> [String] {
    switch kind {
    case .original:
      return try ask("/members", on: stage)?.elements.map { member in
        let tags = member["Tags"].elements.compactMap(\.text).sorted()
        return "\(member["Name"].text ?? "") \(member["Status"].text ?? "") \(tags)"
      }.sorted() ?? []
    case .nomadd:
      return try ask("/v1/agent/members", on: stage)?["Members"].elements.map { member in
        let tags = member["Tags"].keys.map { "\($0)=\(member["Tags"][$0].text ?? "")" }.sorted()
        return "\(member["Name"].text ?? "") \(member["Status"].text ?? "") \(tags)"
      }.sorted() ?? []
    }
  }

  /// `id name status eligibility create-index modify-index` of each node of its own state, sorted.
  func nodes(on stage: Stage) throws -> [String] {
    switch kind {
    case .original:
      return try ask("/nodes", on: stage)?.elements.compactMap(\.text) ?? []
    case .nomadd:
      let nodes = try ask("/v1/nodes?stale", on: stage)?.elements ?? []
      return nodes.map { node in
        let indexes = ["CreateIndex", "ModifyIndex"].map { "\(Int(node[$0].number ?? -1))" }
        let texts = ["ID", "Name", "Status", "SchedulingEligibility"].map { node[$0].text ?? "" }
        return (texts + indexes).joined(separator: " ")
      }.sorted()
    }
  }

  /// `index type hash` of every entry that the stand-in has applied.
  func applied(on stage: Stage) throws -> [String] {
    try ask("/applied", on: stage)?.elements.compactMap(\.text) ?? []
  }
}
