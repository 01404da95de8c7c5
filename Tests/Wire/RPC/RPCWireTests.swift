import Base
import Testing
import Wire

/// Headers, common fields, times and patches against recorded bytes.
@Suite struct RPCWireTests {
  // MARK: yamux

  @Test(arguments: [
    ("000100010000000100000000", YamuxHeader(.windowUpdate, flags: .synchronize, stream: 1)),
    ("000000000000000100000021", YamuxHeader(.data, stream: 1, length: 33)),
    ("000100020000000100000000", YamuxHeader(.windowUpdate, flags: .acknowledge, stream: 1)),
    ("0002000100000000000000ff", YamuxHeader(.ping, flags: .synchronize, length: 255)),
    ("000300000000000000000001", YamuxHeader(.goAway, length: 1)),
    (
      "0000000f8000000000000000",
      YamuxHeader(.data, flags: [.synchronize, .acknowledge, .finish, .reset], stream: 1 << 31)
    ),
  ])
  func `yamux headers`(text: String, header: YamuxHeader) throws {
    let bytes = packedBytes(text)
    #expect(try YamuxHeader(bytes.bytes) == header)
    #expect(packedText { header.encode(into: &$0) } == text)
  }

  @Test func `foreign yamux headers are refused`() {
    for text in ["010000000000000000000000", "000400000000000000000000", "00ff00000000000000000000"] {
      let bytes = packedBytes(text)
      #expect((try? YamuxHeader(bytes.bytes)) == nil)
    }
    let short = packedBytes("0000000000000000000000")
    #expect((try? YamuxHeader(short.bytes)) == nil)
  }

  // MARK: Headers

  @Test func `request and response headers`() throws {
    let request = "82a353657101ad536572766963654d6574686f64ab5374617475732e50696e67"
    #expect(packedText { RPCRequestHeader.encode(method: "Status.Ping", sequence: 1, into: &$0) } == request)
    let header = try unpacked(request) { r throws(WireError) in try RPCRequestHeader(&r) }
    #expect(header.sequence == 1)
    #expect(packedBytes(request)[header.method].elementsEqual("Status.Ping".utf8))

    let failure =
      "83a54572726f72ae6e6f6465206e6f7420666f756e64a3536571cd012cad536572766963654d6574686f64"
      + "b14e6f64652e557064617465537461747573"
    #expect(
      packedText {
        RPCResponseHeader.encode(method: "Node.UpdateStatus", sequence: 300, error: "node not found", into: &$0)
      } == failure)
    let answer = try unpacked(failure) { r throws(WireError) in try RPCResponseHeader(&r) }
    #expect(answer.sequence == 300)
    #expect(packedBytes(failure)[answer.error].elementsEqual("node not found".utf8))
    #expect(packedBytes(failure)[answer.method].elementsEqual("Node.UpdateStatus".utf8))
  }

  @Test func `header fields may be missing, doubled, nil or unknown`() throws {
    #expect(try unpacked("80") { r throws(WireError) in try RPCRequestHeader(&r) }.sequence == 0)
    #expect(try unpacked("c0") { r throws(WireError) in try RPCResponseHeader(&r) }.error.isEmpty)
    #expect(try unpacked("82a353657101a353657102") { r throws(WireError) in try RPCRequestHeader(&r) }.sequence == 2)
    #expect(try unpacked("81a54572726f72c0") { r throws(WireError) in try RPCResponseHeader(&r) }.error.isEmpty)
    #expect(try unpacked("82a1788190c0a353657105") { r throws(WireError) in try RPCRequestHeader(&r) }.sequence == 5)
    // Keys are case-sensitive.
    #expect(try unpacked("81a373657105") { r throws(WireError) in try RPCRequestHeader(&r) }.sequence == 0)
    #expect(
      unpackFailure("81a3536571a131") { r throws(WireError) in _ = try RPCRequestHeader(&r) }.error == .typeMismatch)
    #expect(unpackFailure("9100") { r throws(WireError) in _ = try RPCRequestHeader(&r) }.error == .typeMismatch)
  }

  @Test func `streaming headers`() throws {
    #expect(
      packedText { StreamingHeader.encode(method: "Agent.Monitor", into: &$0) }
        == "81a64d6574686f64ad4167656e742e4d6f6e69746f72")
    #expect(packedText { StreamingHeader.encodeAnswer(error: "", into: &$0) } == "81a54572726f72a0")
    let text = "81a54572726f72bf556e6b6e6f776e20727063206d6574686f643a20224e6f70652e4e6f706522"
    let range = try unpacked(text) { r throws(WireError) in try StreamingHeader.decodeAnswer(&r) }
    #expect(packedBytes(text)[range].elementsEqual("Unknown rpc method: \"Nope.Nope\"".utf8))
  }

  @Test func `method names find their methods`() {
    for method in RPCMethod.allCases where method != .unrecognized {
      let name = Array(method.name.utf8)
      #expect(RPCMethod(name.bytes) == method)
    }
    for foreign in ["", "Status.Pin", "Status.Pingg", "status.ping", "Nope", "Status."] {
      let name = Array(foreign.utf8)
      #expect(RPCMethod(name.bytes) == .unrecognized)
    }
    let services: [(String, Bool)] = [
      ("Status", true), ("Stat", false), ("", false), ("Status.", false), ("Nope", false),
    ]
    for (service, isKnown) in services {
      let bytes = Array(service.utf8)
      #expect(RPCMethod.hasService(bytes.bytes) == isKnown)
    }
  }

  // MARK: Common fields

  static let generic =
    "8aaa416c6c6f775374616c65c3a941757468546f6b656ea0a9466f72776172646564c2ac4d6178517565727954696d6500"
    + "ad4d696e5175657279496e64657800a94e616d657370616365a0a94e657874546f6b656ea0a75065725061676500"
    + "a6507265666978a0a6526567696f6ea6676c6f62616c"

  @Test func `query options`() throws {
    let options = QueryOptions(region: "global", allowStale: true)
    #expect(packedText { options.encode(into: &$0) } == Self.generic)
    #expect(try unpacked(Self.generic) { r throws(WireError) in try QueryOptions(&r) } == options)
    var full = options
    full.namespace = "default"
    full.minimumQueryIndex = 7
    full.maximumQueryTime = .seconds(300)
    full.prefix = "p"
    full.authToken = "t"
    full.perPage = -1
    full.nextToken = "n"
    full.forwarded = true
    full.filter = "f"
    full.reverse = true
    let text = packedText { full.encode(into: &$0) }
    #expect(text.hasPrefix("8c"))
    #expect(try unpacked(text) { r throws(WireError) in try QueryOptions(&r) } == full)
  }

  @Test func `write requests in both key orders, among foreign fields`() throws {
    let sorted =
      "88a941757468546f6b656ea0a9466f72776172646564c2a94e616d657370616365a0a94e6f64654576656e74c0a64e6f64654944a16e"
      + "a6526567696f6ea6676c6f62616ca6537461747573a57265616479a955706461746564417400"
    let declared =
      "88a64e6f64654944a16ea6537461747573a57265616479a94e6f64654576656e74c0a955706461746564417400"
      + "a6526567696f6ea6676c6f62616ca94e616d657370616365a0a941757468546f6b656ea0a9466f72776172646564c2"
    for text in [sorted, declared] {
      #expect(try unpacked(text) { r throws(WireError) in try WriteRequest(&r) } == WriteRequest(region: "global"))
    }
    var full = WriteRequest(region: "eu")
    full.namespace = "default"
    full.authToken = "t"
    full.forwarded = true
    full.idempotencyToken = "i"
    let text = packedText { full.encode(into: &$0) }
    #expect(try unpacked(text) { r throws(WireError) in try WriteRequest(&r) } == full)
    #expect(try unpacked("c0") { r throws(WireError) in try WriteRequest(&r) } == WriteRequest())
  }

  @Test func `reply fields`() throws {
    let query = QueryMeta(index: 7, knownLeader: true)
    let text = "83a5496e64657807ab4b6e6f776e4c6561646572c3ab4c617374436f6e7461637400"
    #expect(packedText { query.encode(into: &$0) } == text)
    #expect(try unpacked(text) { r throws(WireError) in try QueryMeta(&r) } == query)
    #expect(packedText { WriteMeta(index: 7).encode(into: &$0) } == "81a5496e64657807")
    #expect(try unpacked("81a5496e64657807") { r throws(WireError) in try WriteMeta(&r) }.index == 7)
  }

  // MARK: Patches

  @Test func `forwarding changes one field and keeps every other byte`() throws {
    let map = packedBytes(Self.generic)
    var output: [UInt8] = [1]
    try MessagePackPatch.forwarded.apply(to: map.bytes, into: &output)
    #expect(
      output == [1] + packedBytes(Self.generic.replacing("a9466f72776172646564c2", with: "a9466f72776172646564c3")))
  }

  @Test func `a patch adds what is missing and replaces every double`() throws {
    let cases = [
      ("80", "81a9466f72776172646564c3"), ("c0", "81a9466f72776172646564c3"),
      ("82a9466f72776172646564c2d909466f7277617264656481a0c0", "82a9466f72776172646564c3d909466f72776172646564c3"),
      ("8201c0a178d6ff00000000", "8301c0a178d6ff00000000a9466f72776172646564c3"),
    ]
    for (map, expected) in cases {
      let bytes = packedBytes(map)
      #expect(try packedText { try MessagePackPatch.forwarded.apply(to: bytes.bytes, into: &$0) } == expected)
    }
    let fifteen: [UInt8] = [0x8F] + (0..<15).flatMap { [UInt8($0), 0xC0] }
    #expect(
      try packedText { try MessagePackPatch.forwarded.apply(to: fifteen.bytes, into: &$0) }.hasPrefix("de001000c001c0"))
  }

  @Test func `several fields at once, the last setting wins`() throws {
    var patch = MessagePackPatch()
    patch.set("A") { $0.pack("old") }
    patch.set("B") { $0.packNil() }
    patch.set("A") { $0.pack("new") }
    let map = packedBytes("82a14101a14302")
    #expect(try packedText { try patch.apply(to: map.bytes, into: &$0) } == "83a141a36e6577a14302a142c0")
  }

  @Test(arguments: ["90", "a161", "81a161", "8101c1", "80c0", "", "dfffffffff"])
  func `a patch of something else leaves the output alone`(text: String) {
    let map = packedBytes(text)
    var output: [UInt8] = [7]
    #expect(throws: WireError.self) { try MessagePackPatch.forwarded.apply(to: map.bytes, into: &output) }
    #expect(output == [7])
  }

  // MARK: Times

  @Test func `times`() throws {
    let time = GoTime(seconds: 0xE_D86F_AD70, nanoseconds: 0x075B_CD15)
    let text = "af010000000ed86fad70075bcd15ffff"
    #expect(packedText { $0.pack(time) } == text)
    #expect(try unpacked(text) { r throws(WireError) in try r.readGoTime() } == time)
    #expect(time.wall == WallTime(unixNanoseconds: 1_625_142_896_123_456_789))
    #expect(GoTime(time.wall) == time)
    #expect(time.unixSeconds == 1_625_142_896)
    #expect(packedText { $0.pack(GoTime.zero) } == "af01000000000000000000000000ffff")
    #expect(GoTime.zero.isZero)
    #expect(!GoTime(unixSeconds: 0).isZero)
    #expect(GoTime(unixSeconds: 0).wall == WallTime(unixNanoseconds: 0))
    #expect(GoTime(WallTime(unixNanoseconds: -1)).wall == WallTime(unixNanoseconds: -1))
  }

  @Test func `a zone passes through`() throws {
    let text = "af010000000ed86fad70075bcd150000"
    let time = try unpacked(text) { r throws(WireError) in try r.readGoTime() }
    #expect(time.zoneMinutes == 0)
    #expect(packedText { $0.pack(time) } == text)
  }

  @Test(arguments: [
    ("c0", GoTime.zero), ("a0", GoTime.zero),
    ("c40f010000000ed86fad7000000000ffff", GoTime(unixSeconds: 1_625_142_896)),
    ("b0020000000ed86fad7000000000003c1e", GoTime(seconds: 0xE_D86F_AD70, nanoseconds: 0, zoneMinutes: 60)),
    ("d6ff60ddb670", GoTime(unixSeconds: 0x60DD_B670)), ("a460ddb670", GoTime(unixSeconds: 0x60DD_B670)),
    ("d7ff0000000460ddb670", GoTime(seconds: GoTime.unixEpoch + 0x60DD_B670, nanoseconds: 1)),
    ("c70cff000000020000000060ddb670", GoTime(seconds: GoTime.unixEpoch + 0x60DD_B670, nanoseconds: 2)),
  ])
  func `other spellings of a time are understood`(text: String, time: GoTime) throws {
    #expect(try unpacked(text) { r throws(WireError) in try r.readGoTime() } == time)
  }

  @Test(arguments: [
    "a101", "af020000000ed86fad7000000000ffff", "d6fe60ddb670", "d400ff", "c70cfe000000020000000060ddb670", "c700ff",
  ])
  func `what is no time is refused`(text: String) {
    #expect(unpackFailure(text) { r throws(WireError) in _ = try r.readGoTime() }.error == .malformed)
  }

  @Test func `times beyond the calendar saturate`() {
    #expect(GoTime(seconds: .max, nanoseconds: .max).wall.unixNanoseconds == .max)
    #expect(GoTime(seconds: .min, nanoseconds: 0).wall.unixNanoseconds == .max)
    #expect(GoTime.zero.wall.unixNanoseconds == .min)
    #expect(GoTime(unixSeconds: .max).seconds == Int64.min + GoTime.unixEpoch - 1)
  }
}
