import Base
import FoundationEssentials
import HTTP
import Harness
import Raft
import Wire

/// A node of HashiCorp's Raft library as Debian ships it, in a process of its own (`go/raftpeer`). It keeps everything
/// in memory: after a crash it starts empty.
final class GoPeer: RaftPeer {
  static let libraryPath = "/usr/share/gocode"
  static let isInstalled =
    Installed.command("go") && Installed.path("\(libraryPath)/src/github.com/hashicorp/raft")

  let id: String
  let address: SocketAddress
  private(set) var isLeader = false
  private(set) var leader = ""
  private(set) var appliedCount = 0

  private let control: SocketAddress
  private let program: String
  private let options: [String]
  private let log: String
  private var process: ChildProcess?
  private var caller: HTTPCaller
  private var isAsking = false

  /// Builds a program of the folder `go` against Debian's packages, and returns its path.
  static func build(
    _ name: String = "raftpeer", in directory: TemporaryDirectory, on stage: Stage
  ) throws -> String {
    let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    let program = "\(directory.path)/\(name)"
    let log = "\(directory.path)/build"
    let sources = try FileManager.default.contentsOfDirectory(atPath: "/\(folder)/go/\(name)").sorted()
    let compiler = try ChildProcess(
      ["go", "build", "-o", program] + sources.map { "/\(folder)/go/\(name)/\($0)" },
      environment: ["GO111MODULE": "off", "GOPATH": libraryPath, "GOFLAGS": ""], output: log)
    try stage.wait("go build", within: .seconds(120)) { compiler.result != nil }
    guard compiler.result == .exited(0) else { throw HarnessError.system("build the Go peer", FileText.tail(log)) }
    return program
  }

  /// `id` is `nil` under protocol 2, where the address is the id.
  init(
    _ id: String?, program: String, protocolVersion: Int64, trailing: Int = 10_240, in directory: TemporaryDirectory
  ) throws {
    let host = try Loopback.address()
    address = SocketAddress(host, port: 4647)
    control = SocketAddress(host, port: 4646)
    self.id = id ?? "\(address)"
    self.program = program
    log = "\(directory.path)/\(host)"
    options = [
      "-id", self.id, "-address", "\(address)", "-control", "\(control)", "-protocol", "\(protocolVersion)",
      "-trailing", "\(trailing)",
    ]
    caller = HTTPCaller(to: control)
  }

  var isRunning: Bool { process != nil }

  func start(bootstrapping servers: [RaftServer]) throws {
    var arguments = [program] + options
    if !servers.isEmpty {
      arguments += ["-bootstrap", servers.map { "\($0.id)=\($0.address)" }.joined(separator: ",")]
    }
    process = try ChildProcess(arguments, output: log)
  }

  func crash() {
    process?.end()
    process = nil
    caller.disconnect()
    isAsking = false
    (isLeader, leader, appliedCount) = (false, "", 0)
  }

  func apply(_ prefix: String, count: Int, on stage: Stage) throws {
    _ = try call("POST", "/apply?prefix=\(prefix)&count=\(count)", on: stage)
  }

  func transfer(to peer: any RaftPeer, on stage: Stage) throws {
    _ = try call("POST", "/transfer?id=\(peer.id)&address=\(peer.address)", on: stage)
  }

  /// Takes a snapshot and cuts the log behind it.
  func takeSnapshot(on stage: Stage) throws { _ = try call("POST", "/snapshot", on: stage) }

  func applied(on stage: Stage) throws -> [String] {
    try call("GET", "/entries", on: stage).split(separator: "\n").map(String.init)
  }

  var account: String {
    "\(id): \(isRunning ? "up" : "down") leads \(isLeader) leader \(leader) applied \(appliedCount)\n"
      + FileText.tail(log, lines: 25)
  }

  /// Keeps asking how it is.
  func turn() throws {
    guard let process else { return }
    if let end = process.result {
      throw HarnessError.agentEnded(id, "\(end)", output: FileText.tail(log))
    }
    if !isAsking {
      caller.send("GET", "/state")
      isAsking = true
    }
    switch caller.advance() {
    case .waiting: break
    // It is still starting.
    case .failed: isAsking = false
    case .answered(let answer):
      isAsking = false
      let lines = answer.text.split(separator: "\n", omittingEmptySubsequences: false)
      guard lines.count >= 3 else { throw HarnessError.badAnswer(answer.text) }
      isLeader = lines[0] == "Leader"
      leader = String(lines[1])
      appliedCount = Int(lines[2]) ?? 0
    }
  }

  /// A connection of its own, so that the questions of `turn` do not matter.
  private func call(_ method: String, _ target: String, on stage: Stage) throws -> String {
    let caller = HTTPCaller(to: control)
    caller.send(method, target)
    var text: String?
    try stage.wait("\(target) of \(id)", state: { account }) {
      switch caller.advance() {
      case .waiting: return false
      case .failed(let error): throw error
      case .answered(let answer):
        guard answer.status == 200 else { throw HarnessError.badAnswer("\(answer.status) \(answer.text)") }
        text = answer.text
        return true
      }
    }
    return text ?? ""
  }
}
