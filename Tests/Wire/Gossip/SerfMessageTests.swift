import Base
import Testing
import Wire

@Suite struct SerfMessageTests {
  @Test func writesIntents() throws {
    var out: [UInt8] = []
    SerfIntent.encodeJoin(lamportTime: 2, node: utf8("a.global"), into: &out)
    #expect(out == hex("0182a54c54696d6502a44e6f6465a8612e676c6f62616c"))
    out = []
    SerfIntent.encodeLeave(lamportTime: 5, node: utf8("a.global"), prune: false, into: &out)
    #expect(out == hex("0083a54c54696d6505a44e6f6465a8612e676c6f62616ca55072756e65c2"))
    let intent = try SerfIntent(out.bytes.extracting(1..<out.count))
    let check1 = intent.lamportTime == 5 && intent.node.text() == "a.global" && !intent.prune
    #expect(check1)
  }

  @Test func writesUserEvents() throws {
    var out: [UInt8] = []
    SerfUserEvent.encode(lamportTime: 7, name: utf8("dep"), payload: utf8("x"), mayCoalesce: true, into: &out)
    #expect(out == hex("0384a24343c3a54c54696d6507a44e616d65a3646570a75061796c6f6164a178"))
    let event = try SerfUserEvent(out.bytes.extracting(1..<out.count))
    let check2 = event.mayCoalesce && event.payload.text() == "x"
    #expect(check2)
  }

  @Test func writesQueriesAndResponses() throws {
    let golden = hex(
      """
      048ba441646472a47f000001a746696c7465727391b40092a8612e676c6f62616ca8622e676c6f62616ca5466c61677301a24944ce0102
      0304a54c54696d6509a44e616d65aa5f736572665f70696e67a75061796c6f6164c0a4506f7274cd1228ab52656c6179466163746f7203
      aa536f757263654e6f6465a8612e676c6f62616ca754696d656f7574d300000001dcd65000
      """)
    let filter = hex("0092a8612e676c6f62616ca8622e676c6f62616c")
    var out: [UInt8] = []
    SerfQuery.encode(
      lamportTime: 9, id: 0x0102_0304, source: SocketAddress(.loopback, port: 4648), sourceNode: utf8("a.global"),
      filters: [filter], flags: SerfQuery.wantsAck, relayFactor: 3, timeout: .seconds(8), name: utf8("_serf_ping"),
      payload: nil, into: &out)
    #expect(out == golden)
    let query = try SerfQuery(golden.bytes.extracting(1..<golden.count))
    let check3 = query.id == 0x0102_0304 && query.relayFactor == 3 && query.timeout == 8_000_000_000
    #expect(check3)
    var seen: [[UInt8]] = []
    try query.forEachFilter { bytes in
      seen.append(bytes.copy())
      return true
    }
    #expect(seen == [filter])
    let contained = try ["b.global", "c.global"].map { name in
      try SerfFilter.names(filter.bytes.extracting(1..<filter.count), contain: utf8(name).bytes)
    }
    #expect(contained == [true, false])
    let tag = hex("0182a445787072a75e6e6f6d616424a3546167a4726f6c65")
    let decoded = try SerfFilter.tag(tag.bytes.extracting(1..<tag.count))
    #expect(decoded == (tag: "role", pattern: "^nomad$"))

    out = []
    SerfQueryResponse.encode(
      lamportTime: 9, id: 0x0102_0304, from: utf8("b.global"), flags: SerfQueryResponse.isAck, payload: nil, into: &out)
    #expect(
      out == hex("0585a5466c61677301a446726f6da8622e676c6f62616ca24944ce01020304a54c54696d6509a75061796c6f6164c0"))
  }

  @Test func refusesEmptyFilters() throws {
    var out: [UInt8] = []
    SerfQuery.encode(
      lamportTime: 9, id: 1, source: SocketAddress(.loopback, port: 1), sourceNode: [], filters: [[]], flags: 0,
      relayFactor: 0, timeout: .seconds(1), name: [], payload: nil, into: &out)
    #expect(throws: WireError.malformed) {
      try SerfQuery(out.bytes.extracting(1..<out.count)).forEachFilter { _ in true }
    }
  }

  @Test func writesKeyMessages() throws {
    let key = (0..<16).map { UInt8($0) }
    var out: [UInt8] = []
    SerfKeyRequest.encode(key: key, into: &out)
    #expect(out == hex("0781a34b6579b0000102030405060708090a0b0c0d0e0f"))
    let decodedKey = try SerfKeyRequest.decode(out.bytes)
    #expect(decodedKey == key)
    out = []
    let response = SerfKeyResponse(
      result: true, keys: ["AAECAwQFBgcICQoLDA0ODw=="], primaryKey: "AAECAwQFBgcICQoLDA0ODw==")
    response.encode(into: &out)
    #expect(
      out
        == hex(
          """
          0884a44b65797391b841414543417751464267634943516f4c4441304f44773d3da74d657373616765a0aa5072696d6172794b6579
          b841414543417751464267634943516f4c4441304f44773d3da6526573756c74c3
          """))
    let decodedResponse = try SerfKeyResponse(out.bytes)
    #expect(decodedResponse == response)
  }

  @Test func writesRelays() throws {
    let inner = hex("0585a5466c61677301a446726f6da8622e676c6f62616ca24944ce01020304a54c54696d6509a75061796c6f6164c0")
    var out: [UInt8] = []
    SerfRelay.encodeHeader(
      destination: SocketAddress(.loopback, port: 4648), name: utf8("a.global"), into: &out)
    out += inner
    #expect(
      out
        == hex(
          """
          0982a8446573744164647283a24950a47f000001a4506f7274d11228a45a6f6e65a0a8446573744e616d65a8612e676c6f62616c05
          85a5466c61677301a446726f6da8622e676c6f62616ca24944ce01020304a54c54696d6509a75061796c6f6164c0
          """))
    let relay = try SerfRelay(out.bytes.extracting(1..<out.count))
    let check4 = relay.destination == SocketAddress(.loopback, port: 4648)
    #expect(check4)
    let same = relay.message.equals(inner)
    #expect(same)
  }

  @Test func readsAndWritesState() throws {
    let golden = hex(
      """
      0286aa4576656e744c54696d6503a64576656e747394c0c082a64576656e74739282a44e616d65a3646570a75061796c6f6164a17882a4
      4e616d65a16ea75061796c6f6164c0a54c54696d6502c0a54c54696d6503ab4c6566744d656d6265727391a8622e676c6f62616caa5175
      6572794c54696d6501ac5374617475734c54696d657381a8612e676c6f62616c02
      """)
    let state = try SerfPushPull(golden.bytes.extracting(1..<golden.count))
    let check5 = state.lamportTime == 3 && state.eventTime == 3 && state.queryTime == 1
    #expect(check5)
    var text: [String] = []
    try state.forEachEvent { text.append("event \($0) \($1.text()) \($2.text())") }
    try state.forEachLeftMember { text.append("left \($0.text())") }
    try state.forEachStatusTime { text.append("status \($0.text()) \($1)") }
    #expect(text == ["event 2 dep x", "event 2 n ", "left b.global", "status a.global 2"])

    let empty = hex(
      """
      0286aa4576656e744c54696d6501a64576656e7473c0a54c54696d6503ab4c6566744d656d62657273c0aa51756572794c54696d6501ac
      5374617475734c54696d6573c0
      """)
    let nothing = try SerfPushPull(empty.bytes.extracting(1..<empty.count))
    try nothing.forEachEvent { _, _, _ in text.append("never") }
    try nothing.forEachLeftMember { _ in text.append("never") }
    try nothing.forEachStatusTime { _, _ in text.append("never") }
    #expect(text.count == 4)

    var content = SerfPushPull.Content()
    content.lamportTime = 3
    content.statusTimes = [(utf8("a.global"), 2)]
    content.leftMembers = [utf8("b.global")]
    content.events = [(2, [(utf8("dep"), utf8("x"))])]
    var out: [UInt8] = []
    SerfPushPull.encode(content, into: &out)
    let again = try SerfPushPull(out.bytes.extracting(1..<out.count))
    text = []
    try again.forEachEvent { text.append("event \($0) \($1.text()) \($2.text())") }
    try again.forEachLeftMember { text.append("left \($0.text())") }
    try again.forEachStatusTime { text.append("status \($0.text()) \($1)") }
    #expect(text == ["event 2 dep x", "left b.global", "status a.global 2"])
  }

  @Test func readsTagsOfEveryKind() {
    #expect(SerfTags(["role": "nomad"]).metadata == hex("ff81a4726f6c65a56e6f6d6164"))
    #expect(SerfTags([:]).metadata == hex("ff80"))
    let tags = SerfTags(metadata: hex("ff82a162a132a161a131").bytes)
    #expect(tags.tags.map { "\($0.key)=\($0.value)" } == ["a=1", "b=2"])
    #expect(tags["a"] == "1" && tags["z"] == nil)
    let legacy = SerfTags(metadata: utf8("db").bytes)
    #expect(legacy["role"] == "db")
    // Damage after the first pair.
    let damaged = SerfTags(metadata: hex("ff82a162a132a161").bytes)
    #expect(damaged["b"] == "2")
  }
}
