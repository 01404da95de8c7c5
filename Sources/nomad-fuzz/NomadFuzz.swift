import ArgumentParser
import Base
import FoundationEssentials
import Harness

@main struct NomadFuzz: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nomad-fuzz",
    abstract: "Feeds gossip members with packets and streams that are nearly right.",
    discussion: """
      Three members take the inputs in turn: a plain one, one with encryption, one with encryption and a label. After \
      every input the limits of all tables are checked; a broken rule or a trap ends the program. The same seed gives \
      the same inputs. Exit status 1 when memory has grown by more than --growth since the first tenth.
      """)

  @Option(help: "Inputs; 0 for no limit.") var inputs = 0
  @Option(help: "Minutes; 0 for no limit.") var minutes = 0.0
  @Option(help: "Seed of the inputs.") var seed: UInt64 = 1
  @Option(help: "Directory of .txt files with one input in hexadecimal a line.") var corpus: String?
  @Option(help: "Megabytes that the process may grow after the first tenth.") var growth = 16

  static let inputsPerReport = 1_000_000

  func validate() throws {
    guard inputs > 0 || minutes > 0 else { throw ValidationError("Give --inputs or --minutes.") }
  }

  func run() throws {
    var maker = InputMaker(seed: seed, corpus: try corpus.map { try Self.read($0) } ?? [])
    var targets = [
      FuzzTarget(seed: seed, isEncrypted: false, label: []), FuzzTarget(seed: seed, isEncrypted: true, label: []),
      FuzzTarget(seed: seed, isEncrypted: true, label: Array("pool".utf8)),
    ]
    let start = MonotonicClock.now()
    let end = start + .seconds(fraction: minutes * 60)
    var done = 0
    var settled: Int?
    report(0, start, targets)
    while inputs == 0 || done < inputs {
      if minutes > 0, done & 1023 == 0, MonotonicClock.now() >= end { break }
      let position = done % 4 == 0 ? 1 + (done / 4) % 2 : 0
      if maker.below(4) > 0 {
        let packet = maker.packet(for: targets[position].wrapping)
        targets[position].receive(packet, &maker)
      } else {
        let bytes = maker.stream(for: targets[position].wrapping)
        targets[position].stream(bytes, &maker)
      }
      if maker.below(16) == 0 { for index in targets.indices { targets[index].advance(&maker) } }
      done += 1
      if settled == nil, isWarm(done, start, end) { settled = Self.residentKilobytes() }
      if done % Self.inputsPerReport == 0 { report(done, start, targets) }
    }
    report(done, start, targets)
    let grown = Self.residentKilobytes() - (settled ?? 0)
    print("no crash; memory grew by \(grown) kB after the first tenth; repeat with --seed \(seed) --inputs \(done)")
    guard grown <= growth * 1024 else { throw ExitCode(1) }
  }

  private func isWarm(_ done: Int, _ start: Instant, _ end: Instant) -> Bool {
    if inputs > 0 { return done >= inputs / 10 }
    return done & 1023 == 0 && MonotonicClock.now() >= start + (end - start) / 10
  }

  private func report(_ done: Int, _ start: Instant, _ targets: [FuzzTarget]) {
    let seconds = max(0.001, (MonotonicClock.now() - start).seconds)
    let nodes = targets.map { "\($0.machine.gossip.nodes.count)" }.joined(separator: "/")
    let members = targets.map { "\($0.machine.memberCount)" }.joined(separator: "/")
    let sent = targets.reduce(0) { $0 + $1.packetsSent }
    let lines = targets.reduce(0) { $0 + $1.logLines }
    StandardError.print(
      "\(done) inputs, \(Int(seconds)) s, \(Int(Double(done) / seconds)) a second, \(Self.residentKilobytes()) kB; "
        + "nodes \(nodes), members \(members), \(sent) packets and \(lines) log lines out")
  }

  private static func residentKilobytes() -> Int {
    guard let status = try? FileText.read("/proc/self/status") else { return 0 }
    for line in status.split(separator: "\n") where line.hasPrefix("VmRSS:") {
      return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }
    return 0
  }

  /// Every line is an input in hexadecimal, with a remark behind a `#`.
  private static func read(_ directory: String) throws -> [[UInt8]] {
    let files = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    var result: [[UInt8]] = []
    for file in files where file.hasSuffix(".txt") {
      for line in try FileText.read("\(directory)/\(file)").split(separator: "\n") {
        let digits = line.prefix { $0 != "#" }.filter { !$0.isWhitespace }.utf8.compactMap { Self.digit($0) }
        guard !digits.isEmpty else { continue }
        result.append(stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
      }
    }
    return result
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 97...102: byte - 87
    default: nil
    }
  }
}
