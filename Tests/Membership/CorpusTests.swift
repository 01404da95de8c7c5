import Base
import Foundation
import Gossip
import Membership
import Testing
import Wire

/// Every input that is known to end or confuse a Go peer of some version, as a packet and as a stream, plain and under
/// encryption.
@Suite struct CorpusTests {
  struct Entry: CustomTestStringConvertible, Sendable {
    let remark: String
    let bytes: [UInt8]
    var testDescription: String { remark }
  }

  /// One input a line, in hexadecimal, with a remark behind `#`. The fuzzer reads the same files.
  static let entries: [Entry] = {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Gossip/Corpus/known-hazards.txt")
    let text = (try? String(contentsOf: folder, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
      let digits = parts[0].filter { !$0.isWhitespace }.compactMap { $0.hexDigitValue }
      guard !digits.isEmpty else { return nil }
      let bytes = stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
      return Entry(remark: parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "", bytes: bytes)
    }
  }()

  @Test func theCorpusIsThere() { #expect(Self.entries.count >= 35) }

  @Test(arguments: entries) func nothingHappens(entry: Entry) {
    for key in [nil, [UInt8](repeating: 9, count: 16)] {
      var effects = Effects(seed: 1)
      var now = Instant.start
      let peer = TestNetwork.address(1)
      var configuration = MembershipConfiguration(
        gossip: .wan(name: "us", address: TestNetwork.address(0)), tags: TestNetwork.tags("us"))
      configuration.admission = .anybody
      let cipher = key.map { FakeCipher(keys: [$0]) }
      var machine = MembershipMachine(configuration: configuration, cipher: cipher, at: now, effects: &effects)

      var packet = entry.bytes
      if var cipher { cipher.seal(&packet, from: 0, header: RawSpan(), label: RawSpan()) }
      machine.handleDatagram(packet.bytes, from: peer, at: now, effects: &effects)
      machine.handleDatagram(entry.bytes.bytes, from: peer, at: now, effects: &effects)

      let id = effects.outbox.makeConnectionID()
      machine.handleAccepted(id, from: peer, at: now, effects: &effects)
      for offset in entry.bytes.indices {
        machine.handleReceived(id, entry.bytes.bytes.extracting(offset..<(offset + 1)), at: now, effects: &effects)
      }
      machine.handleDisconnected(id, .finished, at: now, effects: &effects)
      for _ in 0..<200 {
        now += .milliseconds(100)
        if let deadline = machine.deadline, deadline <= now { machine.handleTimeout(at: now, effects: &effects) }
        effects.outbox.removeAll()
      }
      #expect(machine.local.status == .alive)
      #expect(machine.memberCount == 1)
      #expect(machine.gossip.nodes.count == 1)
      #expect(!machine.owns(id))
    }
  }
}
