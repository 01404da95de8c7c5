import Base
import Harness
import Wire

/// What two scripted members do to one target, and what comes back.
final class LikenessScript {
  let target: any PoolMember
  let place: SocketAddress
  let stage: Stage
  /// Speaks with the target.
  let speaker: ScriptedMember
  /// Hears what the target passes on.
  let listener: ScriptedMember
  private var transcript: [String] = []
  /// Members that came later, and what the transcript calls their addresses.
  private var others: [(ScriptedMember, String)] = []
  private var queriesAsked: UInt32 = 0

  init(target: any PoolMember, at place: SocketAddress, keys: [[UInt8]], on stage: Stage) throws {
    self.target = target
    self.place = place
    self.stage = stage
    // A key that is installed later must be readable by then.
    let keys = keys.isEmpty ? [] : keys + [Self.secondKey]
    speaker = try ScriptedMember("speaker", keys: keys)
    listener = try ScriptedMember("listener", keys: keys)
    stage.enter(speaker)
    stage.enter(listener)
  }

  /// What the target does of its own: it joins, speaks, and leaves.
  func playJourney() throws -> [String] {
    speaker.setState { content in
      content.lamportTime = 7
      content.eventTime = 9
      content.queryTime = 11
      content.statusTimes = [(Array("speaker".utf8), 5), (Array("target".utf8), 6)]
      content.events = [(8, [(Array("old".utf8), Array("news".utf8))])]
    }
    try target.enter(speaker.address, on: stage)
    note("its list", try outcome(speaker, "list", 1))
    note("its intent", try outcome(speaker, "user join", 1))
    note("events of before", target.lastUserEvent)
    try target.sendEvent("deploy", "now", on: stage)
    note("its event", try outcome(speaker, "user event", 1))
    speaker.forget()
    try target.retag(["kind": "target", "round": "2"], on: stage)
    note("its new tags", try outcome(speaker, "alive target", 1))
    speaker.forget()
    try target.leave(on: stage)
    note("its farewell", try outcome(speaker, "user leave", 1))
    note("its end", try outcome(speaker, "dead target", 1))
    let order = speaker.heard.filter { $0.hasPrefix("user leave") || $0.hasPrefix("dead target") }
    note("first", plain(order.first ?? "nothing"))
    return transcript
  }

  /// Who is suspected already is suspected in a list as well: is whoever reads that one more accuser?
  func playRepeatedSuspicion() throws -> [String] {
    let victim = try ScriptedMember("victim")
    stage.enter(victim)
    for member in [speaker, listener, victim] { _ = try member.join(place, on: stage) }
    // It answers pings, so that the target has no suspicion of its own.
    victim.stopRefuting()
    var accusation: [UInt8] = []
    AccusationMessage.encode(
      .suspect, incarnation: 1, node: Array("victim".utf8), from: Array("speaker".utf8), into: &accusation)
    listener.forget()
    speaker.send(accusation, to: place)
    note("suspicion", try outcome(listener, "suspect victim 1 from speaker", 1))
    let claim = ScriptedMachine.Claim(name: "victim", address: victim.address, incarnation: 1, state: .suspect)
    _ = try speaker.join(place, on: stage, asJoin: false, about: [claim])
    note("suspicion in a list", try outcome(listener, "suspect victim 1 from target", 1))
    return transcript
  }

  /// In a pool with a key.
  func playSealed() throws -> [String] {
    note("plain join", answers(try speaker.join(place, on: stage, isPlain: true)))
    speaker.forget()
    speaker.send(ping(1, "target"), to: place, isPlain: true)
    note("plain ping", try outcome(speaker, "ack", 0))
    for (what, bytes) in [
      ("damaged", [10, 0, 0, 0, 40, 1] + [UInt8](repeating: 9, count: 39)), ("short", [10, 0, 0, 0, 3, 1, 1, 1]),
      ("of an unknown version", [10, 0, 0, 0, 40, 9] + [UInt8](repeating: 9, count: 39)),
      ("too large", [10, 0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3]),
    ] as [(String, [UInt8])] {
      note("sealed stream, \(what)", answers(try speaker.exchange(bytes, with: place, on: stage, isPlain: true)))
    }
    try hears("sealed ping", ping(2, "target"), of: "ack")
    note("sealed ping over TCP", answers(try speaker.exchange(ping(3, "target"), with: place, on: stage)))
    note("sealed join", answers(try speaker.join(place, on: stage)))
    note("sealed join of the listener", answers(try listener.join(place, on: stage)))
    try keyQueries()
    return transcript
  }

  func play() throws -> [String] {
    try pings()
    try exchanges()
    try relayedPings()
    try wrappers()
    try accusations()
    try events()
    try queries()
    try oldTimes()
    try unusableNodes()
    try departures()
    try hearsay()
    try failures()
    return transcript
  }

  // MARK: Pings

  /// From somebody the target does not know.
  private func pings() throws {
    try hears("ping by name", ping(1, "target"), of: "ack")
    try hears("ping for anybody", ping(2, ""), of: "ack")
    try hears("ping for another", ping(3, "somebody"), of: "ack", count: 0)
    for (what, node) in [("by name", "target"), ("for another", "somebody")] {
      let answer = try speaker.exchange(ping(4, node), with: place, on: stage)
      note("ping over TCP \(what)", answers(answer))
    }
  }

  private func ping(_ sequence: UInt32, _ node: String) -> [UInt8] {
    var bytes: [UInt8] = []
    PingMessage.encode(
      sequence: sequence, node: Array(node.utf8), source: speaker.address, sourceNode: Array(speaker.name.utf8),
      into: &bytes)
    return bytes
  }

  // MARK: Joining

  private func exchanges() throws {
    note("join of the speaker", answers(try speaker.join(place, on: stage)))
    note("join of the listener", answers(try listener.join(place, on: stage)))
    note("compressed exchange", answers(try speaker.join(place, on: stage, asJoin: false, isCompressed: true)))
    note("exchange that is no join", answers(try speaker.join(place, on: stage, asJoin: false)))
    for (what, bytes) in [
      ("unknown message", [99, 1, 2, 3]), ("alive on a stream", [4, 0x80]), ("cut list", [6, 0x83]),
    ] as [(String, [UInt8])] {
      note("stream with \(what)", answers(try speaker.exchange(bytes, with: place, on: stage)))
    }
    try believes("both are members", "alive", of: [speaker.name, listener.name])
  }

  private func relayedPings() throws {
    func indirectPing(_ sequence: UInt32, nack: Bool) -> [UInt8] {
      var bytes: [UInt8] = []
      IndirectPingMessage.encode(
        sequence: sequence, target: listener.address, node: Array(listener.name.utf8), wantsNack: nack,
        source: speaker.address, sourceNode: Array(speaker.name.utf8), into: &bytes)
      return bytes
    }
    try hears("indirect ping to one who answers", indirectPing(10, nack: true), of: "ack")
    listener.stayMute(true)
    try hears("indirect ping to one who is silent", indirectPing(11, nack: true), of: "nack")
    try hears("the same without a nack", indirectPing(12, nack: false), of: "nack", count: 0)
    listener.stayMute(false)
  }

  private func wrappers() throws {
    var compressed: [UInt8] = []
    var encoder = LempelZivWelchEncoder()
    CompressedMessage.encode(ping(20, "target").bytes, into: &compressed, using: &encoder)
    try hears("compressed ping", compressed, of: "ack")
    try hears("ping with a checksum", checked(ping(21, "target"), damage: 0), of: "ack")
    try hears("ping with a wrong checksum", checked(ping(22, "target"), damage: 1), of: "ack", count: 0)
    var compound: [UInt8] = []
    CompoundMessage.encode([ping(23, "target"), ping(24, "somebody"), ping(25, "")], into: &compound)
    try hears("compound of pings", compound, of: "ack", count: 2)
    try hears("compound that is cut", Array(compound.dropLast(3)), of: "ack", count: 1)
  }

  private func checked(_ message: [UInt8], damage: UInt32) -> [UInt8] {
    var bytes = [GossipMessageKind.checked.rawValue]
    bytes.append(bigEndian: Checksum.crc32(message.bytes) ^ damage)
    return bytes + message
  }

  // MARK: Suspicion

  private func accusations() throws {
    // The target begins with some incarnation; each refutation must be the one above the accusation's.
    for (number, kind) in [GossipMessageKind.suspect, .dead].enumerated() {
      var bytes: [UInt8] = []
      AccusationMessage.encode(
        kind, incarnation: 100 * UInt32(number + 1), node: Array("target".utf8), from: Array(speaker.name.utf8),
        into: &bytes)
      try hears("\(kind) about the target", bytes, of: "alive target")
    }
  }

  // MARK: Serf

  private func events() throws {
    var event = [GossipMessageKind.user.rawValue]
    SerfUserEvent.encode(
      lamportTime: 40, name: Array("deploy".utf8), payload: Array("now".utf8), mayCoalesce: false, into: &event)
    try passesOn("user event", event, of: "user event")
    note("the event again", try silence(event, "user event"))
    var join = [GossipMessageKind.user.rawValue]
    SerfIntent.encodeJoin(lamportTime: 41, node: Array(listener.name.utf8), into: &join)
    try passesOn("join intent", join, of: "user join listener")
    note("the intent again", try silence(join, "user join listener"))
    var old = [GossipMessageKind.user.rawValue]
    SerfIntent.encodeLeave(lamportTime: 3, node: Array(listener.name.utf8), prune: false, into: &old)
    note("an outdated leave intent", try silence(old, "user leave"))
    try believes("nobody has left", "alive", of: [speaker.name, listener.name])
  }

  private func queries() throws {
    try hears("query with acknowledgement", query("load"), of: "user a", count: 2)
    try hears("query without", query("load", flags: 0), of: "user a", count: 1)
    try hears("query that nobody handles", query("unknown"), of: "user a", count: 1)
    try hears("ping as query", query("_serf_ping"), of: "user a", count: 1)
    try hears("who is listener", query("_serf_conflict", Array("listener".utf8)), of: "user a", count: 2)
    try hears("who is nobody", query("_serf_conflict", Array("nobody".utf8)), of: "user a", count: 2)
    try hears("who are you", query("_serf_conflict", Array("target".utf8)), of: "user a", count: 1)
    try keyQueries()
    var nodes: [UInt8] = [SerfFilter.nodeKind]
    nodes.packArrayHeader(1)
    nodes.pack(raw: Array("somebody".utf8))
    try hears("query for another", query("load", filters: [nodes]), of: "user a", count: 0)
    nodes = [SerfFilter.nodeKind]
    nodes.packArrayHeader(2)
    nodes.pack(raw: Array("somebody".utf8))
    nodes.pack(raw: Array("target".utf8))
    try hears("query for the target", query("load", filters: [nodes]), of: "user a", count: 2)
    try passesOn("query", query("spread"), of: "user query spread")
    note("query that is not to be spread", try silence(query("load", flags: 2), "user query"))
    var relay: [UInt8] = [GossipMessageKind.user.rawValue]
    SerfRelay.encodeHeader(destination: listener.address, name: Array(listener.name.utf8), into: &relay)
    SerfQueryResponse.encode(
      lamportTime: 99, id: 99, from: Array(speaker.name.utf8), flags: 0, payload: Array("relayed".utf8), into: &relay)
    try passesOn("relayed answer", relay, of: "user answer")
  }

  /// What is older than the buffers remember is dropped; an exchange and a stream carry events too.
  private func oldTimes() throws {
    func event(_ name: String, _ time: UInt64) -> [UInt8] {
      var bytes: [UInt8] = []
      SerfUserEvent.encode(
        lamportTime: time, name: Array(name.utf8), payload: Array("now".utf8), mayCoalesce: false, into: &bytes)
      return bytes
    }
    var streamed: [UInt8] = []
    let body = event("streamed", 42)
    UserMessageHeader.encode(length: body.count, into: &streamed)
    _ = try speaker.exchange(streamed + body, with: place, on: stage)
    try handles("streamed now")
    _ = try speaker.join(place, on: stage, asJoin: false) { content in
      content.eventTime = 45
      content.events = [(43, [(Array("exchanged".utf8), Array("now".utf8))])]
    }
    try handles("exchanged now")
    speaker.send([GossipMessageKind.user.rawValue] + event("future", 5000), to: place)
    try handles("future now")
    note("an event of long ago", try silence([GossipMessageKind.user.rawValue] + event("past", 44), "user event"))
    note("the last event", target.lastUserEvent)

    queriesAsked = 5000
    try hears("query of the future", query("load"), of: "user a", count: 2)
    queriesAsked = 200
    try hears("query of long ago", query("load"), of: "user a", count: 0)
    queriesAsked = 5001
    let question = query("load")
    try hears("query", question, of: "user a", count: 2)
    try stage.run(for: .seconds(1))
    try hears("the same query", question, of: "user a", count: 0)
  }

  private func handles(_ event: String) throws {
    try stage.wait("the target handles \(event)", state: { target.lastUserEvent }) { target.lastUserEvent == event }
    note("event", event)
  }

  private static let firstKey = [UInt8](repeating: 1, count: 32)
  private static let secondKey = [UInt8](repeating: 2, count: 16)

  private func keyQueries() throws {
    for (operation, key) in [
      ("list", []), ("install", [UInt8](repeating: 3, count: 10)), ("use", Self.secondKey),
      ("remove", [UInt8](repeating: 4, count: 32)), ("install", Self.secondKey), ("install", Self.secondKey),
      ("list", []), ("use", Self.secondKey), ("list", []), ("remove", Self.secondKey), ("remove", Self.firstKey),
      ("use", Self.firstKey),
    ] as [(String, [UInt8])] {
      let isList = operation == "list"
      var payload: [UInt8] = []
      SerfKeyRequest.encode(key: key, into: &payload)
      let question = query("_serf_\(operation)-key\(isList ? "s" : "")", isList ? nil : payload)
      try hears("\(operation) key \(key.prefix(1)) of \(key.count)", question, of: "user a", count: 2)
    }
  }

  private func query(
    _ name: String, _ payload: [UInt8]? = nil, flags: UInt32 = 1, filters: [[UInt8]] = []
  ) -> [UInt8] {
    queriesAsked += 1
    var bytes = [GossipMessageKind.user.rawValue]
    SerfQuery.encode(
      lamportTime: 50 + UInt64(queriesAsked), id: 500 + queriesAsked, source: speaker.address,
      sourceNode: Array(speaker.name.utf8), filters: filters, flags: flags, relayFactor: 0, timeout: .seconds(5),
      name: Array(name.utf8), payload: payload, into: &bytes)
    return bytes
  }

  // MARK: Nodes

  private func unusableNodes() throws {
    func alive(
      _ name: String, _ incarnation: UInt32, at address: SocketAddress, metadata: Int = 0,
      versions: ProtocolVersions = .nomad
    ) -> [UInt8] {
      var bytes: [UInt8] = []
      let tags = metadata == 0 ? [] : [UInt8](repeating: 0x61, count: metadata)
      AliveMessage.encode(
        incarnation: incarnation, node: Array(name.utf8), address: address, metadata: tags, versions: versions,
        into: &bytes)
      return bytes
    }
    var versions = ProtocolVersions.nomad
    versions.protocolMin = 0
    let elsewhere = SocketAddress(listener.address.host, port: 999)
    for packet in [
      alive("odd", 1, at: elsewhere, versions: versions), alive("listener", 50, at: elsewhere),
      alive("large", 1, at: SocketAddress(listener.address.host, port: 997), metadata: 512),
    ] { speaker.send(packet, to: place) }
    try believes("a node whose tags fill the limit", "alive", of: ["large"])
    // Gone again, so that everything that is said to three is said to all.
    var dead: [UInt8] = []
    AccusationMessage.encode(
      .dead, incarnation: 1, node: Array("large".utf8), from: Array("large".utf8), into: &dead)
    speaker.send(dead, to: place)
    note("a node without versions", target.view["odd"] == nil ? "absent" : "present")
    note("another's name", "\(target.view["listener"].map(plain) ?? "absent")")
  }

  private func departures() throws {
    var intent = [GossipMessageKind.user.rawValue]
    SerfIntent.encodeLeave(lamportTime: 200, node: Array(listener.name.utf8), prune: false, into: &intent)
    listener.send(intent, to: place)
    try believes("leaving", "leaving", of: [listener.name])
    listener.stayMute(true)
    var dead: [UInt8] = []
    AccusationMessage.encode(
      .dead, incarnation: 100, node: Array(listener.name.utf8), from: Array(listener.name.utf8), into: &dead)
    listener.send(dead, to: place)
    try believes("left", "left", of: [listener.name])
    note("list with one who left", entry("listener", try speaker.join(place, on: stage, asJoin: false)))

    // Its name is free now.
    let heir = try ScriptedMember("listener")
    stage.enter(heir)
    others.append((heir, "HEIR"))
    note("join under a name that was left", entry("listener", try heir.join(place, on: stage)))
    try stage.wait("the heir's entry", within: .seconds(10), state: { "\(target.view)" }) {
      target.view["listener"]?.contains("\(heir.address)") ?? false
    }
    note("the heir", target.view["listener"].map(plain) ?? "absent")
  }

  /// What a list says of a third: suspected and dead are suspicions, left is final, and unknown ones are new.
  private func hearsay() throws {
    let third = try ScriptedMember("third")
    stage.enter(third)
    others.append((third, "THIRD"))
    _ = try third.join(place, on: stage)
    try believes("the third is there", "alive", of: [third.name])
    for (incarnation, state) in [(1, .suspect), (2, .dead), (3, .alive), (3, .left)] as [(UInt32, NodeState)] {
      for member in [speaker, listener] + others.map(\.0) { member.forget() }
      let claim = ScriptedMachine.Claim(
        name: third.name, address: third.address, incarnation: incarnation, state: state)
      // One who has left refutes nothing.
      if state == .left { third.stayMute(true) }
      _ = try speaker.join(place, on: stage, asJoin: false, about: [claim])
      let news = state == .left ? "dead third" : "suspect third"
      note("list says \(state)", try rumour(news, state == .alive ? 0 : 1))
      if state == .left {
        try stage.wait("the third's departure", within: .seconds(10), state: { "\(target.view)" }) {
          !(target.view[third.name]?.hasPrefix("alive") ?? true)
        }
      }
      note("the third after \(state)", target.view[third.name].map(plain) ?? "absent")
    }
    // Nobody is there; it is believed until a probe fails.
    let strangers = [(NodeState.alive, "fresh"), (.dead, "gone")].map { state, name in
      ScriptedMachine.Claim(
        name: name, address: SocketAddress(third.address.host, port: 996), incarnation: 1, state: state)
    }
    _ = try speaker.join(place, on: stage, asJoin: false, about: strangers)
    try believes("who was only heard of", "alive", of: ["fresh"])
    note("one who was dead before he was known", target.view["gone"].map(plain) ?? "absent")
    var dead: [UInt8] = []
    AccusationMessage.encode(
      .dead, incarnation: 1, node: Array("fresh".utf8), from: Array("fresh".utf8), into: &dead)
    speaker.send(dead, to: place)
    // Without the intent it is no departure in order.
    try believes("who was only heard of and has left", "failed", of: ["fresh"])
  }

  /// One who says nothing is suspected, declared dead and forgotten when it is told.
  private func failures() throws {
    let victim = try ScriptedMember("victim")
    stage.enter(victim)
    others.append((victim, "VICTIM"))
    _ = try victim.join(place, on: stage)
    try believes("the victim is there", "alive", of: [victim.name])
    victim.stayMute(true)
    speaker.forget()
    try stage.wait("the victim's death", within: .seconds(60), state: { "\(target.view)" }) {
      target.view[victim.name]?.hasPrefix("failed") ?? false
    }
    note("suspicion", try rumour("suspect victim", 1))
    note("death", try rumour("dead victim", 1))
    note("list with one who failed", entry("victim", try speaker.join(place, on: stage, asJoin: false)))
    for (time, prune) in [(300, false), (301, true)] as [(UInt64, Bool)] {
      var intent = [GossipMessageKind.user.rawValue]
      SerfIntent.encodeLeave(lamportTime: time, node: Array(victim.name.utf8), prune: prune, into: &intent)
      speaker.send(intent, to: place)
      let wanted = prune ? nil : "left"
      try stage.wait("removal, prune \(prune)", within: .seconds(10), state: { "\(target.view)" }) {
        target.view[victim.name]?.split(separator: " ").first.map(String.init) == wanted
      }
      note("removal, prune \(prune)", "\(wanted ?? "absent")")
    }
  }

  // MARK: Observing

  private func note(_ what: String, _ outcome: String) { transcript.append("\(what): \(outcome)") }

  /// Sends a packet; what the speaker hears of that kind: `count` lines, or with none expected whatever comes within
  /// a second.
  private func hears(_ what: String, _ packet: [UInt8], of kind: String, count: Int = 1) throws {
    speaker.forget()
    speaker.send(packet, to: place)
    note(what, try outcome(speaker, kind, count))
  }

  /// The same, heard by the listener.
  private func passesOn(_ what: String, _ packet: [UInt8], of kind: String) throws {
    listener.forget()
    speaker.send(packet, to: place)
    note("\(what) is passed on", try outcome(listener, kind, 1))
  }

  private func silence(_ packet: [UInt8], _ kind: String) throws -> String {
    // What was said before may still be repeated.
    var quietSince = MonotonicClock.now()
    while MonotonicClock.now() - quietSince < .milliseconds(600) {
      listener.forget()
      try stage.run(for: .milliseconds(50))
      if listener.heard.contains(where: { $0.hasPrefix(kind) }) { quietSince = MonotonicClock.now() }
    }
    speaker.send(packet, to: place)
    return try outcome(listener, kind, 0)
  }

  /// What anybody hears; news reach some members and not each.
  private func rumour(_ kind: String, _ count: Int) throws -> String {
    try outcome([speaker, listener] + others.map(\.0), kind, count)
  }

  private func outcome(_ member: ScriptedMember, _ kind: String, _ count: Int) throws -> String {
    try outcome([member], kind, count)
  }

  private func outcome(_ members: [ScriptedMember], _ kind: String, _ count: Int) throws -> String {
    let end = MonotonicClock.now() + (count == 0 ? .seconds(1) : .seconds(8))
    func heard() -> [String] {
      var lines: [String] = []
      for line in members.flatMap(\.heard) where line.hasPrefix(kind) && !lines.contains(line) { lines.append(line) }
      return lines
    }
    while count == 0 || heard().count < count, MonotonicClock.now() < end { try stage.run(for: .milliseconds(20)) }
    // There may be more than there should be.
    try stage.run(for: .milliseconds(200))
    return heard().isEmpty ? "silence" : plain(heard().sorted().joined(separator: "; "))
  }

  private func believes(_ what: String, _ status: String, of names: [String]) throws {
    try stage.wait("\(what): \(names)", within: .seconds(10), state: { "\(target.view)" }) {
      names.allSatisfy { target.view[$0]?.hasPrefix(status) ?? false }
    }
    note(what, plain(names.map { "\($0) \(target.view[$0] ?? "")" }.joined(separator: "; ")))
  }

  private func answers(_ bytes: [UInt8]) -> String {
    bytes.isEmpty ? "nothing" : plain(GossipTranscript.unwrap(bytes).map(GossipTranscript.line).joined(separator: "; "))
  }

  /// What a list says of one; others may be forgotten meanwhile.
  private func entry(_ name: String, _ list: [UInt8]) -> String {
    let entries = answers(list).split(separator: "\"").filter { $0.hasPrefix("\(name) ") }
    return entries.isEmpty ? "absent" : entries.joined(separator: "; ")
  }

  /// Addresses are those of the run.
  private func plain(_ text: String) -> String {
    let named = [(speaker, "SPEAKER"), (listener, "LISTENER")] + others
    let places = named.reduce(text.replacing("\(place)", with: "TARGET")) {
      $0.replacing("\($1.0.address)", with: $1.1)
    }
    return named.reduce(places) { $0.replacing("\($1.0.address.host):", with: "\($1.1)'S HOST:") }
  }
}
