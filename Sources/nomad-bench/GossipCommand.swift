import ArgumentParser
import Base
import CBench
import FoundationEssentials
import Harness

/// `nomad-bench gossip`: pings answered a second, beside a bare echo and, when given, HashiCorp's memberlist.
struct GossipCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gossip",
    abstract: "Measures how fast gossip pings are answered.",
    discussion: """
      One socket keeps --outstanding pings on their way and sends the next for every ack. The peers take turns, \
      --rounds times: a bare libuv echo in C; a pool member of ours on the product's event loop; the agent \
      itself, when its program lies beside this one; and the programs given with --peer, each of which must answer \
      memberlist pings for anybody on the address and port that replace {host} and {port} in its command. Ratios are \
      between medians of the rounds.
      """)

  @Option(help: "Pings on their way.") var outstanding: UInt32 = 64
  @Option(help: "Time of each measurement.") var duration = DurationArgument(.seconds(2))
  @Option(help: "Measurements of each peer.") var rounds = 5
  @Option(help: "A further peer, as NAME=COMMAND.") var peer: [String] = []
  @Option(help: "Exit with 1 when ours is slower than this part of the echo.") var leastOfEcho = 0.0
  @Option(help: "Exit with 1 when ours is less than this many times as fast as a further peer.") var leastOfPeer = 0.0

  func validate() throws {
    guard (1...256).contains(outstanding) else { throw ValidationError("--outstanding must be 1 to 256.") }
    guard rounds >= 1 else { throw ValidationError("--rounds must be at least 1.") }
    guard peer.allSatisfy({ $0.contains("=") }) else { throw ValidationError("--peer must be NAME=COMMAND.") }
  }

  private struct Contestant {
    let name: String
    let address: SocketAddress
    var process: ChildProcess
    var results: [cbench_result] = []

    var rates: [Double] { results.map { Double($0.answers) / Double($0.elapsed) * 1e9 }.sorted() }
    var median: Double { rates.isEmpty ? 0 : rates[rates.count / 2] }
  }

  func run() throws {
    let directory = try TemporaryDirectory(prefix: "bench-gossip")
    var contestants: [Contestant] = []
    let program = CommandLine.arguments[0].contains("/") ? CommandLine.arguments[0] : "/proc/self/exe"
    func enter(_ name: String, port: UInt16 = 4648, _ command: (IPAddress) throws -> [String]) throws {
      let host = try Loopback.address()
      let arguments = try command(host)
      contestants.append(
        Contestant(
          name: name, address: SocketAddress(host, port: port),
          process: try ChildProcess(arguments, output: "\(directory.path)/\(contestants.count)")))
    }
    try enter("libuv echo") { [program, "gossip-peer", "--echo", "--address", "\($0):4648"] }
    try enter("our member") { [program, "gossip-peer", "--address", "\($0):4648"] }
    let agent = "\(URL(fileURLWithPath: program).deletingLastPathComponent().path)/nomadd"
    if FileManager.default.isExecutableFile(atPath: agent) {
      try enter("nomadd") { [agent] + (try Self.agentArguments($0, in: directory)) }
    }
    for text in peer {
      let parts = text.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { throw ValidationError("--peer \(text): expected NAME=COMMAND") }
      try enter(String(parts[0])) { host in
        parts[1].split(separator: " ").map {
          String($0).replacing("{host}", with: "\(host)").replacing("{port}", with: "4648")
        }
      }
    }

    for index in contestants.indices { try awaitAnswer(contestants[index]) }
    for _ in 0..<rounds {
      for index in contestants.indices {
        if let end = contestants[index].process.result {
          throw HarnessError.agentEnded(contestants[index].name, "\(end)", output: "")
        }
        contestants[index].results.append(try ping(contestants[index].address, for: duration.interval))
      }
    }
    for contestant in contestants { contestant.process.end() }
    try report(contestants)
  }

  private static func agentArguments(_ host: IPAddress, in directory: TemporaryDirectory) throws -> [String] {
    let data = try directory.makeDirectory("nomadd")
    try FileText.write(
      """
      name = "bench"
      data_dir = "\(data)"
      bind_addr = "\(host)"
      log_level = "WARN"
      server {
        enabled = true
        bootstrap_expect = 1
      }
      """, to: "\(data)/agent.hcl")
    return ["--config", "\(data)/agent.hcl"]
  }

  private func awaitAnswer(_ contestant: Contestant) throws {
    let end = MonotonicClock.now() + .seconds(20)
    while try ping(contestant.address, for: .milliseconds(100)).answers == 0 {
      guard MonotonicClock.now() < end, contestant.process.result == nil else {
        throw HarnessError.timedOut("\(contestant.name) at \(contestant.address) answers")
      }
    }
  }

  private func ping(_ address: SocketAddress, for length: Interval) throws -> cbench_result {
    var result = cbench_result()
    let code = unsafe cbench_ping("\(address.host)", address.port, outstanding, length.seconds, &result)
    guard code == 0 else { throw HarnessError.system("ping \(address)", "error \(-code)") }
    return result
  }

  private func report(_ contestants: [Contestant]) throws {
    func cell(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(1, width - text.count)) + text
    }
    func head(_ text: String) -> String { text + String(repeating: " ", count: max(1, 16 - text.count)) }
    print("round trips a second, \(outstanding) outstanding, \(rounds) rounds of \(duration):")
    let heads = ["median", "best", "median us", "p99 us", "lost", "of echo"]
    print("  " + head("peer") + heads.map { cell($0, 11) }.joined())
    let echo = contestants[0].median
    for one in contestants {
      let middle = one.results.sorted { $0.median < $1.median }[one.results.count / 2]
      let cells = [
        decimal(one.median, places: 0), decimal(one.rates.last ?? 0, places: 0),
        decimal(Double(middle.median) / 1000, places: 1), decimal(Double(middle.p99) / 1000, places: 1),
        "\(one.results.reduce(0) { $0 + $1.lost })", decimal(one.median / max(1, echo), places: 2),
      ]
      print("  " + head(one.name) + cells.map { cell($0, 11) }.joined())
    }
    let others = contestants.filter { one in peer.contains { $0.hasPrefix("\(one.name)=") } }
    let ours = contestants.filter { ["our member", "nomadd"].contains($0.name) }
    var isSlow = false
    for one in ours {
      for other in others {
        let ratio = one.median / max(1, other.median)
        print("\(one.name) / \(other.name): \(decimal(ratio, places: 2))")
        isSlow = isSlow || ratio < leastOfPeer
      }
      isSlow = isSlow || one.median < leastOfEcho * echo
    }
    if isSlow { throw ExitCode(1) }
  }
}
