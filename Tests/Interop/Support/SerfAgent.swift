import Base
import Glibc
import Harness

/// What one participant believes about the pool: status, address and tags by name.
typealias PoolView = [String: String]

/// One participant of a pool of Serf agents and machines of ours.
protocol PoolMember: AnyObject {
  var name: String { get }
  var view: PoolView { get }
  /// The last user event as `name payload`.
  var lastUserEvent: String { get }

  /// Joins the pool of `peer`.
  func enter(_ peer: SocketAddress, on stage: Stage) throws
  func sendEvent(_ name: String, _ payload: String, on stage: Stage) throws
  /// Replaces all tags.
  func retag(_ tags: [String: String], on stage: Stage) throws
  /// In order; it has ended when this returns.
  func leave(on stage: Stage) throws
}

extension PoolMember {
  static func describe(status: String, address: String, tags: [(String, String)]) -> String {
    let sorted = tags.sorted { $0.0 < $1.0 }
    return ([status, address] + sorted.map { "\($0.0)=\($0.1)" }).joined(separator: " ")
  }

  /// The status of a member, or `absent`.
  func status(of other: any PoolMember) -> String {
    view[other.name].flatMap { $0.split(separator: " ").first.map(String.init) } ?? "absent"
  }
}

/// Debian's Serf agent with an address of its own. Its command line tells what it believes; the answers come while
/// the others take their turns.
final class SerfAgent: PoolMember, Performer {
  static let isInstalled = Installed.command("serf")
  static let pollInterval = Interval.milliseconds(150)

  let name: String
  let address: SocketAddress
  private(set) var view: PoolView = [:]

  private let control: SocketAddress
  private let directory: String
  private let tags: [String: String]
  private var process: ChildProcess?
  private var poll: (process: ChildProcess, output: String)?
  private var nextPoll = Instant.start
  private var fileNumber = 0

  private let options: [String]

  /// With `key` (base64) it encrypts. It answers queries named `load` with `load of NAME`.
  init(
    _ name: String, tags: [String: String] = [:], key: String? = nil, at address: SocketAddress? = nil,
    in directory: TemporaryDirectory
  ) throws {
    self.name = name
    self.tags = tags
    options = (key.map { ["-encrypt=\($0)"] } ?? []) + ["-event-handler=query:load=echo load of \(name)"]
    let host = try Loopback.address()
    // The ports that the harness keeps free on every address it hands out.
    self.address = address ?? SocketAddress(host, port: 4648)
    control = SocketAddress(host, port: 4646)
    self.directory = try directory.makeDirectory(name)
    // The agent gives the payload on standard input.
    try FileText.write(
      "printf '%s ' \"$SERF_USER_EVENT\" >>\(self.directory)/events\ncat >>\(self.directory)/events\n"
        + "echo >>\(self.directory)/events\n", to: "\(self.directory)/handler")
  }

  func start(joining peer: SocketAddress? = nil, serfProtocol: Int = 5) throws {
    var arguments = [
      "serf", "agent", "-bind=\(address)", "-rpc-addr=\(control)", "-node=\(name)", "-profile=lan",
      "-protocol=\(serfProtocol)", "-event-handler=user=sh \(directory)/handler",
    ]
    arguments += options
    for (key, value) in tags.sorted(by: { $0.key < $1.key }) { arguments += ["-tag", "\(key)=\(value)"] }
    if let peer { arguments.append("-join=\(peer)") }
    view = [:]
    process = try ChildProcess(arguments, output: "\(directory)/log")
  }

  /// Neither hears nor says anything until `thaw`.
  func freeze() { process?.send(signal: SIGSTOP) }
  func thaw() { process?.send(signal: SIGCONT) }

  /// SIGKILL.
  func crash() {
    process?.end()
    process = nil
    poll = nil
    view = [:]
  }

  /// Runs a command of Serf's command line and returns what it prints.
  @discardableResult
  func call(_ command: String, _ arguments: String..., on stage: Stage) throws -> String {
    try call(command, arguments, on: stage)
  }

  @discardableResult
  private func call(_ command: String, _ arguments: [String], on stage: Stage) throws -> String {
    let output = nextFile(command)
    let call = try ChildProcess(["serf", command, "-rpc-addr=\(control)"] + arguments, output: output)
    try stage.wait("serf \(command)", within: .seconds(25)) { call.result != nil }
    guard call.result == .exited(0) else {
      throw HarnessError.system("run serf \(command) \(arguments)", FileText.tail(output))
    }
    return try FileText.read(output)
  }

  func enter(_ peer: SocketAddress, on stage: Stage) throws { try call("join", "\(peer)", on: stage) }

  func sendEvent(_ name: String, _ payload: String, on stage: Stage) throws {
    try call("event", "-coalesce=false", name, payload, on: stage)
  }

  func retag(_ tags: [String: String], on stage: Stage) throws {
    let gone = self.tags.keys.filter { tags[$0] == nil }.flatMap { ["-delete", $0] }
    try call("tags", gone + tags.flatMap { ["-set", "\($0.key)=\($0.value)"] }, on: stage)
  }

  /// Leaves in order and ends.
  func leave(on stage: Stage) throws {
    try call("leave", on: stage)
    crash()
  }

  var lastUserEvent: String { FileText.tail("\(directory)/events", lines: 1) }
  /// Whether its log has a line with all of these words.
  func says(_ words: String...) -> Bool {
    let text = (try? FileText.read("\(directory)/log")) ?? ""
    return text.split(separator: "\n").contains { line in words.allSatisfy { line.contains($0) } }
  }

  var log: String { "\(name):\n\(FileText.tail("\(directory)/log", lines: 30))" }

  func turn() throws {
    guard process != nil else { return }
    if let poll {
      guard let end = poll.process.result else { return }
      self.poll = nil
      nextPoll = MonotonicClock.now() + Self.pollInterval
      // An agent that is still starting refuses.
      guard end == .exited(0) else { return }
      view = try Self.parse(FileText.read(poll.output))
    } else if MonotonicClock.now() >= nextPoll {
      let output = nextFile("members")
      let errors = "\(directory)/errors"
      poll = (
        try ChildProcess(["serf", "members", "-rpc-addr=\(control)", "-format=json"], output: output, error: errors),
        output
      )
    }
  }

  private static func parse(_ text: String) throws -> PoolView {
    var view: PoolView = [:]
    for member in try JSON(parsing: Array(text.utf8))["members"].elements {
      let tags = member["tags"]
      view[member["name"].text ?? ""] = describe(
        status: member["status"].text ?? "", address: member["addr"].text ?? "",
        tags: tags.keys.map { ($0, tags[$0].text ?? "") })
    }
    return view
  }

  private func nextFile(_ purpose: String) -> String {
    fileNumber += 1
    return "\(directory)/\(purpose)-\(fileNumber)"
  }
}
