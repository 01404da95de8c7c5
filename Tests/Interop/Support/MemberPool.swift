import Base
import HTTP
import Harness

/// Members of HashiCorp's memberlist library as Debian ships it, many in one process (`go/memberpool`).
final class MemberPool {
  static let libraryPath = "/usr/share/gocode"
  static let isInstalled =
    Installed.command("go") && Installed.path("\(libraryPath)/src/github.com/hashicorp/memberlist")
  static let firstPort: UInt16 = 7000

  let host: IPAddress
  private let control: SocketAddress
  private let process: ChildProcess
  private let log: String

  /// Builds the program against Debian's package, and returns its path.
  static func build(in directory: TemporaryDirectory, on stage: Stage) throws -> String {
    let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    let program = "\(directory.path)/memberpool"
    let log = "\(directory.path)/build"
    let compiler = try ChildProcess(
      ["go", "build", "-o", program, "/\(folder)/go/memberpool/main.go"],
      environment: ["GO111MODULE": "off", "GOPATH": libraryPath, "GOFLAGS": ""], output: log)
    try stage.wait("go build", within: .seconds(120)) { compiler.result != nil }
    guard compiler.result == .exited(0) else { throw HarnessError.system("build the Go pool", FileText.tail(log)) }
    return program
  }

  /// Starts `count` members that know each other, and waits until they are served.
  init(_ count: Int, program: String, in directory: TemporaryDirectory, on stage: Stage) throws {
    host = try Loopback.address()
    control = SocketAddress(host, port: 4646)
    log = "\(directory.path)/pool"
    process = try ChildProcess(
      [program, "-host", "\(host)", "-port", "\(Self.firstPort)", "-count", "\(count)", "-control", "\(control)"],
      output: log)
    try stage.wait("the Go pool starts", state: { FileText.tail(log) }) {
      try isRunning() && (try? call("GET", "/views", on: stage)) != nil
    }
  }

  func address(_ member: Int) -> SocketAddress { SocketAddress(host, port: Self.firstPort + UInt16(member)) }

  /// Different beliefs, each with how many members hold it: `name address`, sorted.
  func views(on stage: Stage) throws -> [(holders: Int, lines: [String])] {
    var result: [(holders: Int, lines: [String])] = []
    for line in try call("GET", "/views", on: stage).split(separator: "\n") {
      if line.hasPrefix("view "), let holders = Int(line.dropFirst(5)) {
        result.append((holders, []))
      } else if !result.isEmpty {
        result[result.count - 1].lines.append(String(line))
      }
    }
    return result
  }

  func start(_ range: Range<Int>, joining peer: SocketAddress, on stage: Stage) throws {
    _ = try call("POST", "/start?from=\(range.lowerBound)&to=\(range.upperBound)&join=\(peer)", on: stage)
  }

  /// Size of the member's list after an exchange of states.
  func join(_ member: Int, _ peer: SocketAddress, on stage: Stage) throws -> Int {
    Int(try call("POST", "/join?member=\(member)&peer=\(peer)", on: stage)) ?? 0
  }

  func kill(_ range: Range<Int>, on stage: Stage) throws {
    _ = try call("POST", "/kill?from=\(range.lowerBound)&to=\(range.upperBound)", on: stage)
  }

  func leave(_ range: Range<Int>, on stage: Stage) throws {
    _ = try call("POST", "/leave?from=\(range.lowerBound)&to=\(range.upperBound)", on: stage)
  }

  /// Bad packets and streams from Go's side.
  func makeNoise(at peer: SocketAddress, seed: Int, count: Int, on stage: Stage) throws {
    _ = try call("POST", "/noise?peer=\(peer)&seed=\(seed)&count=\(count)", on: stage)
  }

  func isRunning() throws -> Bool {
    if let end = process.result { throw HarnessError.agentEnded("the Go pool", "\(end)", output: FileText.tail(log)) }
    return true
  }

  private func call(_ method: String, _ target: String, on stage: Stage) throws -> String {
    let caller = HTTPCaller(to: control)
    caller.send(method, target)
    var text: String?
    try stage.wait("\(target) of the Go pool", within: .seconds(40), state: { FileText.tail(log) }) {
      switch caller.advance() {
      case .waiting: return !(try isRunning())
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
