import Base
import Gossip
import Membership
import Testing
import Wire

@Suite struct QueryTests {
  private func pool() -> TestNetwork {
    var network = TestNetwork(seed: 8)
    for name in ["a", "b", "c"] { network.start(name, lan: true) }
    network.join(1, [0])
    network.join(2, [0])
    network.run(.seconds(3))
    return network
  }

  /// Everybody who was asked answers with its name.
  private func answerAll(_ network: inout TestNetwork) {
    for node in network.nodes.indices {
      let events = network.nodes[node].events
      network.nodes[node].events = []
      for case .queryReceived(let query) in events {
        let payload = Array("\(query.name) \(node)".utf8)
        let isSent = network.call(node) { $0.respond(to: query, payload, at: $1, effects: &$2) }
        #expect(isSent)
      }
    }
  }

  @Test func everyMemberIsAskedAndHeard() throws {
    var network = pool()
    var query = Query(name: "load", payload: [1])
    query.wantsAcknowledgements = true
    query.relayFactor = 1
    let asked = network.call(1) { $0.ask(query, at: $1, effects: &$2) }
    let id = try #require(asked)
    network.run(.milliseconds(400))
    answerAll(&network)
    network.run(.seconds(10))
    var answers: [String] = []
    for case .queryAnswered(id, let from, let payload) in network.nodes[1].events {
      answers.append("\(from): \(String(decoding: payload, as: UTF8.self))")
    }
    #expect(answers.sorted() == ["a: load 0", "b: load 1", "c: load 2"])
    #expect(network.nodes[1].events.contains(.queryFinished(id, QueryResult(acknowledgements: 3, answers: 3))))
  }

  @Test func filtersChooseWhoAnswers() throws {
    var network = pool()
    var byName = Query(name: "names")
    byName.nodes = ["a", "c"]
    var byTag = Query(name: "tags")
    byTag.tags = [("id", "^(b|c)$"), ("role", "nomad")]
    for (query, wanted) in [(byName, [0, 2]), (byTag, [1, 2])] {
      _ = network.call(0) { $0.ask(query, at: $1, effects: &$2) }
      network.run(.seconds(1))
      let asked = network.nodes.indices.filter { node in
        network.nodes[node].events.contains {
          if case .queryReceived(let received) = $0 { return received.name == query.name }
          return false
        }
      }
      #expect(asked == wanted)
    }
  }

  @Test func lateAndLongAnswersAreRefused() throws {
    var network = pool()
    var query = Query(name: "quick")
    query.timeout = .milliseconds(500)
    _ = network.call(0) { $0.ask(query, at: $1, effects: &$2) }
    network.run(.milliseconds(300))
    for case .queryReceived(let received) in network.nodes[2].events {
      let long = [UInt8](repeating: 0, count: 1024)
      let isLongSent = network.call(2) { $0.respond(to: received, long, at: $1, effects: &$2) }
      #expect(!isLongSent)
      network.run(.seconds(1))
      let isLateSent = network.call(2) { $0.respond(to: received, [], at: $1, effects: &$2) }
      #expect(!isLateSent)
    }
    let long = Query(name: "x", payload: [UInt8](repeating: 0, count: 1024))
    let refused = network.call(0) { $0.ask(long, at: $1, effects: &$2) }
    #expect(refused == nil)
  }

  @Test func tellsWhoOwnsAName() throws {
    var network = pool()
    let query = Query(name: "_serf_conflict", payload: Array("b".utf8))
    let asked = network.call(0) { $0.ask(query, at: $1, effects: &$2) }
    let id = try #require(asked)
    network.run(.seconds(10))
    var answers: [String: [UInt8]] = [:]
    for case .queryAnswered(id, let from, let payload) in network.nodes[0].events { answers[from] = payload }
    // The one whose name it is keeps silent.
    #expect(answers.keys.sorted() == ["a", "c"])
    #expect(answers.values.allSatisfy { $0.first == SerfMessageKind.conflictResponse.rawValue && $0.count > 50 })
  }

  @Test func aKeyringThatCannotBeStoredIsAnError() throws {
    let key = [UInt8](repeating: 1, count: 16)
    var network = TestNetwork(seed: 9)
    for name in ["a", "b"] {
      network.start(name, lan: true, cipher: FakeCipher(keys: [key])) { $0.awaitsKeyringStorage = name == "b" }
    }
    network.join(1, [0])
    network.run(.seconds(2))
    for failure in [nil, "disk full"] {
      network.nodes[0].events = []
      network.nodes[1].events = []
      let new = [UInt8](repeating: failure == nil ? 2 : 3, count: 16)
      let id = network.call(0) { $0.changeKeyring(.install(new), at: $1, effects: &$2) }
      network.run(.seconds(1))
      // Nobody hears a success before the disk has it.
      #expect(network.nodes[1].events.contains(.keyringChanged))
      #expect(!network.nodes[0].events.contains { if case .keyringOperationFinished = $0 { true } else { false } })
      network.call(1) { $0.keyringStored(failure: failure, at: $1, effects: &$2) }
      network.run(.seconds(1))
      for case .keyringOperationFinished(id, let result) in network.nodes[0].events {
        #expect(result.isSuccess == (failure == nil))
        #expect(result.errors["b"]?.contains("disk full") == (failure == nil ? nil : true))
      }
      #expect(network.nodes[0].events.contains { if case .keyringOperationFinished = $0 { true } else { false } })
    }
  }

  @Test func cutListsOfKeysAreCountedAndNoFailure() {
    var single = Single { $0.admission = .anybody }
    single.alive("b", 1)
    let id = single.machine.changeKeyring(.list, at: single.now, effects: &single.effects)
    // The time and the number of our query, from the packet that spreads it.
    var response = SerfKeyResponse(result: true, keys: ["k1", "k2"], primaryKey: "k1")
    response.message = "truncated key list response, showing first 2 of 60 keys"
    var payload: [UInt8] = []
    response.encode(into: &payload)
    single.answerQuery(from: "b", payload)
    for case .keyringOperationFinished(id, let result) in single.machine.takeEvents() {
      #expect(result.keys.map(\.key) == ["k1", "k2"])
      #expect(result.errors["b"] == nil)
      #expect(result.remarks["b"]?.contains("2 of 60") == true)
      return
    }
    Issue.record("the list was not finished")
  }
}

extension Single {
  /// Answers the newest query among the packets that the machine has sent.
  mutating func answerQuery(from name: String, _ payload: [UInt8]) {
    now += .seconds(1)
    machine.handleTimeout(at: now, effects: &effects)
    let arena = effects.outbox.arena
    for case .datagram(_, let range) in effects.outbox.directives {
      for message in Self.userMessages(in: Array(arena[range])) where message.first == SerfMessageKind.query.rawValue {
        let body = Array(message.dropFirst())
        guard let query = try? SerfQuery(body.bytes) else { continue }
        var out: [UInt8] = [GossipMessageKind.user.rawValue]
        SerfQueryResponse.encode(
          lamportTime: query.lamportTime, id: query.id, from: Array(name.utf8), flags: 0, payload: payload, into: &out)
        return receive(out)
      }
    }
  }

  private static func userMessages(in packet: [UInt8]) -> [[UInt8]] {
    var bytes = packet
    if bytes.first == GossipMessageKind.checked.rawValue { bytes.removeFirst(5) }
    if bytes.first == GossipMessageKind.user.rawValue { return [Array(bytes.dropFirst())] }
    guard bytes.first == GossipMessageKind.compound.rawValue else { return [] }
    var result: [[UInt8]] = []
    do throws(WireError) {
      var compound = try CompoundMessage(bytes.bytes.extracting(1..<bytes.count))
      while compound.hasNext {
        let part = try compound.next().copy()
        if part.first == GossipMessageKind.user.rawValue { result.append(Array(part.dropFirst())) }
      }
    } catch {
      return result
    }
    return result
  }
}
