import ArgumentParser
import Base
import CAllocations
import Gossip
import Membership
import Wire

/// `nomad-bench allocations`: in steady state a datagram costs no memory.
struct AllocationsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "allocations",
    abstract: "Counts what a pool member allocates for each gossip packet that brings no news.",
    discussion: "Exit status 1 when it is not nothing. Only an optimised build can pass.")

  @Option(help: "Packets of each kind.") var rounds = 1000

  private static let source = SocketAddress(.v4(0x7F00_0002), port: 4648)

  private struct Kind {
    let name: String
    let packet: [UInt8]
    var answers = 0
  }

  func run() throws {
    let kinds = [
      Kind(name: "ping", packet: Self.ping(), answers: 1),
      Kind(name: "alive without news", packet: Self.alive(4)),
      Kind(name: "suspicion without news", packet: Self.accusation()),
      Kind(name: "compound of five", packet: Self.compound(), answers: 1),
      Kind(name: "the same with checksum", packet: Self.checked(Self.compound()), answers: 1),
      Kind(name: "the same compressed", packet: Self.checked(Self.compressed(Self.compound())), answers: 1),
      Kind(name: "malformed", packet: [0x04, 0x81, 0xC1]),
    ]
    var isClean = true
    for kind in kinds {
      let (allocations, answers) = measure(kind)
      print("\(kind.name): \(allocations) allocations and \(answers) answers for \(rounds) packets")
      isClean = isClean && allocations == 0 && answers == kind.answers * rounds
    }
    if !isClean { throw ExitCode(1) }
  }

  private func measure(_ kind: Kind) -> (allocations: UInt64, answers: Int) {
    var (machine, effects, now) = Self.settledMember()
    var answers = 0
    // Scratch memory grows to its size in the first rounds.
    var before: UInt64 = 0
    for round in 0..<(rounds + 20) {
      if round == 20 {
        before = callocations_count()
        answers = 0
      }
      machine.handleDatagram(kind.packet.bytes, from: Self.source, at: now, effects: &effects)
      answers += effects.outbox.directives.count
      effects.outbox.removeAll()
      _ = machine.takeEvents()
      _ = machine.deadline
      now = now + .microseconds(1)
    }
    return (callocations_count() - before, answers)
  }

  /// A member that knows ten others, each once heard of, and has nothing left to tell.
  private static func settledMember() -> (MembershipMachine, Effects, Instant) {
    var effects = Effects(seed: 1, minimumLogLevel: .error)
    var now = Instant.start
    var configuration = MembershipConfiguration(
      gossip: .wan(name: "us", address: SocketAddress(.v4(0x7F00_0001), port: 4648)), tags: ["role": "nomad"])
    configuration.admission = .anybody
    var machine = MembershipMachine(configuration: configuration, at: now, effects: &effects)
    for number in 0..<10 {
      machine.handleDatagram(alive(number).bytes, from: source, at: now, effects: &effects)
    }
    machine.handleDatagram(accusation().bytes, from: source, at: now, effects: &effects)
    // Until all broadcasts were sent often enough, and before the suspicion ends.
    for _ in 0..<400 {
      now = now + .milliseconds(10)
      if let deadline = machine.deadline, deadline <= now { machine.handleTimeout(at: now, effects: &effects) }
      effects.outbox.removeAll()
      _ = machine.takeEvents()
    }
    return (machine, effects, now)
  }

  private static func alive(_ number: Int) -> [UInt8] {
    var out: [UInt8] = []
    AliveMessage.encode(
      incarnation: 1, node: Array("member\(number)".utf8),
      address: SocketAddress(.v4(0x7F00_0002 + UInt32(number)), port: 4648),
      metadata: SerfTags(["role": "nomad", "region": "global"]).metadata, versions: .nomad, into: &out)
    return out
  }

  private static func accusation() -> [UInt8] {
    var out: [UInt8] = []
    AccusationMessage.encode(
      .suspect, incarnation: 1, node: Array("member3".utf8), from: Array("member4".utf8), into: &out)
    return out
  }

  private static func ping() -> [UInt8] {
    var out: [UInt8] = []
    PingMessage.encode(
      sequence: 7, node: Array("us".utf8), source: source, sourceNode: Array("member0".utf8), into: &out)
    return out
  }

  private static func compound() -> [UInt8] {
    var out: [UInt8] = []
    CompoundMessage.encode([ping(), alive(1), alive(2), accusation(), alive(3)], into: &out)
    return out
  }

  private static func checked(_ inner: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [12]
    out.append(bigEndian: Checksum.crc32(inner.bytes))
    return out + inner
  }

  private static func compressed(_ inner: [UInt8]) -> [UInt8] {
    var encoder = LempelZivWelchEncoder()
    var out: [UInt8] = []
    CompressedMessage.encode(inner.bytes, into: &out, using: &encoder)
    return out
  }
}
