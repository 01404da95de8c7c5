import Base
import Gossip
import Testing
import Wire

@Suite struct StreamTests {
  /// A peer's state: header, one alive node, user state.
  func state(_ names: [(String, UInt32)], isJoin: Bool = true, versions: ProtocolVersions = .nomad) -> [UInt8] {
    var out: [UInt8] = []
    PushPullHeader(nodes: names.count, userStateBytes: 4, isJoin: isJoin).encode(into: &out)
    for (name, last) in names {
      PushPullNode.encode(
        name: utf8(name), address: Bench.address(last), metadata: hex("ff80"), incarnation: 1, state: .alive,
        versions: versions, into: &out)
    }
    return out + utf8("abcd")
  }

  func compressed(_ message: [UInt8]) -> [UInt8] {
    var encoder = LempelZivWelchEncoder()
    var out: [UInt8] = []
    CompressedMessage.encode(message.bytes, into: &out, using: &encoder)
    return out
  }

  @Test(arguments: [1, 3, 50, 100_000], [false, true])
  func exchangesStateInAnyChunks(chunk: Int, isCompressed: Bool) {
    var bench = Bench()
    let id = bench.accept()
    let plain = state([("b", 2), ("c", 3)])
    let message = isCompressed ? compressed(plain) : plain
    for start in stride(from: 0, to: message.count, by: chunk) {
      bench.stream(id, Array(message[start..<min(start + chunk, message.count)]))
    }
    let answer = bench.takeStream(id)
    #expect(answer.isEnded)
    #expect(answer.bytes.first == GossipMessageKind.pushPull.rawValue)
    let got1 = bench.layer.takeLines()
    #expect(got1 == ["joined b", "joined c"])
    #expect(bench.layer.merged == [utf8("abcd")])
    #expect(!bench.machine.owns(id))
  }

  @Test func joinsThroughADial() throws {
    var server = Bench()
    server.alive("c", 3)
    var client = Bench { $0.name = utf8("b"); $0.address = Bench.peer }
    client.machine.exchange(
      with: Bench.own, isJoin: true, token: ExchangeToken(number: 1), at: client.now, effects: &client.effects)
    guard case .connect(let dialled, Bench.own, _)? = client.effects.outbox.directives.first else {
      Issue.record("no dial")
      return
    }
    client.machine.handleConnected(dialled, at: client.now, above: &client.layer, effects: &client.effects)
    let request = client.takeStream(dialled).bytes
    let accepted = server.accept()
    server.stream(accepted, request)
    let answer = server.takeStream(accepted)
    client.stream(dialled, answer.bytes)
    #expect(client.layer.outcomes == [.merged(nodes: 2)])
    let got2 = Set(client.layer.takeLines())
    #expect(got2 == ["joined us", "joined c"])
    let got3 = server.layer.takeLines()
    #expect(got3 == ["joined c", "joined b"])
  }

  @Test func talkingToOurselvesIsNoJoin() {
    var bench = Bench()
    bench.machine.exchange(
      with: Bench.peer, isJoin: true, token: ExchangeToken(number: 1), at: bench.now, effects: &bench.effects)
    guard case .connect(let dialled, _, _)? = bench.effects.outbox.directives.first else { return }
    bench.machine.handleConnected(dialled, at: bench.now, above: &bench.layer, effects: &bench.effects)
    bench.stream(dialled, state([("us", 1)]))
    #expect(bench.layer.outcomes == [.reachedOurselves])
  }

  @Test func refusesIncompatibleOrUnwantedPeersAsAWhole() {
    var bench = Bench()
    var future = ProtocolVersions.nomad
    future.delegateMin = 5
    let first = bench.accept()
    bench.stream(first, state([("c", 3), ("b", 2)], versions: future))
    let got4 = bench.takeStream(first)
    #expect(got4.bytes.count > 0)
    bench.layer.refused = "b"
    let second = bench.accept()
    bench.stream(second, state([("c", 3), ("b", 2)]))
    let got5 = bench.layer.takeLines()
    #expect(got5.isEmpty)
    // Without the join flag only the unwanted node is left out.
    let third = bench.accept()
    bench.stream(third, state([("c", 3), ("b", 2)], isJoin: false))
    let got6 = bench.layer.takeLines()
    #expect(got6 == ["joined c"])
  }

  @Test func othersDeadAreOnlySuspectsToUs() {
    var bench = Bench()
    bench.alive("b", 2)
    bench.alive("c", 3)
    var message: [UInt8] = []
    PushPullHeader(nodes: 3, userStateBytes: 0, isJoin: false).encode(into: &message)
    for (name, last, state) in [("b", UInt32(2), NodeState.dead), ("c", 3, .left), ("d", 4, .dead)] {
      PushPullNode.encode(
        name: utf8(name), address: Bench.address(last), metadata: [], incarnation: 1, state: state, versions: .nomad,
        into: &message)
    }
    bench.stream(bench.accept(), message)
    #expect(bench.state("b") == .suspect)
    #expect(bench.state("c") == .left)
    #expect(bench.state("d") == nil)
  }

  /// The suspicion lasts 1,000 s with the one confirmation that is wanted, six times that without.
  @Test(arguments: [(isHeard: false, seconds: 6000), (isHeard: true, seconds: 1000)])
  func `a list that is exchanged makes us no witness`(_ hearsay: (isHeard: Bool, seconds: Int64)) {
    var bench = Bench {
      $0.suspicionConfirmations = 1
      $0.hearsayConfirms = hearsay.isHeard
      $0.probeInterval = .seconds(1000)
      $0.suspicionMultiplier = 1
      $0.suspicionMaximumMultiplier = 6
    }
    bench.machine.paused = [.probing, .exchanging]
    for (name, last) in [("b", UInt32(2)), ("c", 3), ("d", 4)] { bench.alive(name, last) }
    _ = bench.layer.takeLines()
    bench.accuse(.suspect, "b", incarnation: 1, from: "c")
    var message: [UInt8] = []
    PushPullHeader(nodes: 1, userStateBytes: 0, isJoin: false).encode(into: &message)
    PushPullNode.encode(
      name: utf8("b"), address: Bench.address(2), metadata: [], incarnation: 1, state: .suspect, versions: .nomad,
      into: &message)
    bench.stream(bench.accept(), message)
    bench.advance(.seconds(hearsay.seconds) - .milliseconds(1))
    #expect(bench.layer.takeLines() == [])
    bench.advance(.milliseconds(1))
    #expect(bench.layer.takeLines() == ["dead b"])
  }

  @Test func answersAStreamPing() {
    var bench = Bench()
    let id = bench.accept()
    var ping: [UInt8] = []
    PingMessage.encode(sequence: 77, node: utf8("us"), source: Bench.peer, sourceNode: utf8("b"), into: &ping)
    bench.stream(id, ping)
    let answer = bench.takeStream(id)
    #expect(answer.bytes == hex("0282a75061796c6f6164c0a55365714e6f4d"))
    #expect(answer.isEnded)
    let other = bench.accept()
    var foreign: [UInt8] = []
    PingMessage.encode(sequence: 77, node: utf8("you"), source: Bench.peer, sourceNode: utf8("b"), into: &foreign)
    bench.stream(other, foreign)
    let silence = bench.takeStream(other)
    #expect(silence.bytes.isEmpty && silence.isEnded)
  }

  @Test func takesUserMessagesFromStreams() {
    var bench = Bench()
    let id = bench.accept()
    bench.stream(id, hex("0881aa557365724d73674c656e05") + utf8("he"))
    #expect(bench.layer.messages.isEmpty)
    bench.stream(id, utf8("llo"))
    #expect(bench.layer.messages == [utf8("hello")])
    let got7 = bench.takeStream(id)
    #expect(got7.isEnded)
  }

  @Test(arguments: [
    // Encrypted although we have no key; an unknown algorithm; a compression that expands to nothing; garbage inside.
    "0a0000003401000102030405060708090a0b93ee0380097f92fc2afc06e659c1116416"
      + "757f971d82d7d8755d2feb46ddc4ca7182d1ab825aac",
    "0982a4416c676f01a3427566a700830811483020", "0982a4416c676f00a3427566a3000302", "0982a4416c676f00a3427566a3ffffff",
  ])
  func complainsAboutEnvelopes(text: String) {
    var bench = Bench()
    let id = bench.accept()
    bench.stream(id, hex(text))
    let answer = bench.takeStream(id)
    #expect(answer.bytes.first == GossipMessageKind.error.rawValue)
    #expect(answer.isEnded)
  }

  @Test(arguments: [
    // Negative and huge node counts, huge user state, unknown type, a compound, a wrong type inside.
    "0683a44a6f696ec3a54e6f646573ffac5573657253746174654c656e00",
    "0683a44a6f696ec3a54e6f646573ce7fffffffac5573657253746174654c656e00",
    "0683a44a6f696ec3a54e6f64657300ac5573657253746174654c656ece7fffffff", "63", "070100", "06a3616263",
  ])
  func closesSilentlyOnBadBodies(text: String) {
    var bench = Bench()
    let id = bench.accept()
    bench.stream(id, hex(text))
    let answer = bench.takeStream(id)
    #expect(answer.bytes.isEmpty)
    #expect(answer.isEnded)
    #expect(bench.machine.nodes.count == 1)
  }

  @Test func doesNotWaitForeverNorForTooMany() {
    var bench = Bench { $0.maximumStreamsPerHost = 4; $0.maximumStreams = 6 }
    let stranger = SocketAddress(.v4(0x0A00_0001), port: 5000)
    let ids = (0..<5).map { _ in bench.accept(stranger) }
    #expect(ids.map { bench.machine.owns($0) } == [true, true, true, true, false])
    let neighbour = bench.accept()
    #expect(bench.machine.owns(neighbour))
    bench.stream(ids[0], [6])
    for _ in 0..<29 {
      bench.advance(.seconds(1))
      // Trickling does not re-arm the deadline.
      bench.stream(ids[0], [])
    }
    #expect(bench.machine.owns(ids[0]))
    bench.advance(.seconds(1))
    #expect(!bench.machine.owns(ids[0]))
  }

  @Test func givesUpOnAValueWithoutEnd() {
    var bench = Bench()
    let id = bench.accept()
    // One node is announced, and its map never ends.
    bench.stream(id, hex("0683a44a6f696ec3a54e6f64657301ac5573657253746174654c656e00df7fffffff"))
    for _ in 0..<20 { bench.stream(id, [UInt8](repeating: 0x01, count: 1000)) }
    #expect(!bench.machine.owns(id))
  }
}
