import Base
import RPC
import Testing
import Wire

/// The machine as the acceptor, byte for byte (rpc.md sections 1 to 3).
@Suite struct ServingTests {
  static let ping = "82a353657101ad536572766963654d6574686f64ab5374617475732e50696e67 80"
  static let pong = "83a54572726f72a0a353657101ad536572766963654d6574686f64ab5374617475732e50696e67 80"
  static let firstExchange =
    "06 000100010000000100000000 000000000000000100000001 01 000000000000000100000021" + ping

  @Test(arguments: [1, 2, 3, 5, 7, 11, 12, 13, 40, 1000])
  func `answers the first exchange of a session in any chunking`(chunk: Int) {
    var driver = Driver()
    driver.receive(Self.firstExchange, chunk: chunk)
    let requests = driver.takeRequests()
    #expect(requests.count == 1)
    #expect(requests.first?.method == .statusPing)
    #expect(requests.first?.body == "80")
    #expect(driver.takeSent() == "000100020000000100000000")
    if let request = requests.first { driver.respond(request.id) }
    #expect(driver.takeSent() == "000000000000000100000028" + hex(hex(Self.pong)))
  }

  @Test func `splits at every byte position`() {
    let bytes = hex(Self.firstExchange)
    for position in 1..<bytes.count {
      var driver = Driver()
      driver.receive(Array(bytes[..<position]))
      driver.receive(Array(bytes[position...]))
      #expect(driver.takeRequests().map(\.method) == [.statusPing])
    }
  }

  @Test func `sends the acknowledgement and the answer of one turn as one directive`() {
    var driver = Driver()
    driver.receive(Self.firstExchange)
    if let request = driver.takeRequests().first { driver.respond(request.id) }
    #expect(driver.sendDirectives == 1)
  }

  @Test func `accepts header keys in any order and unknown ones`() {
    for header in [
      "82ad536572766963654d6574686f64ab5374617475732e50696e67a353657107",
      "83a353657107a5576861743f9201c0ad536572766963654d6574686f64ab5374617475732e50696e67",
      "82a3536571d30000000000000007ad536572766963654d6574686f64d90b5374617475732e50696e67",
    ] {
      var driver = Driver()
      driver.receive("01" + header + "c0")
      let requests = driver.takeRequests()
      #expect(requests.map(\.method) == [.statusPing])
      #expect(requests.map(\.body) == ["c0"])
      if let request = requests.first { driver.respond(request.id) }
      #expect(driver.takeSent() == "83a54572726f72a0a353657107ad536572766963654d6574686f64ab5374617475732e50696e6780")
    }
  }

  @Test func `answers an error with the text and an empty body`() {
    var driver = Driver()
    driver.receive("01 82 a3536571 cd012c ad536572766963654d6574686f64 b14e6f64652e557064617465537461747573 80")
    let request = driver.takeRequests().first
    #expect(request?.method == .nodeUpdateStatus)
    if let request {
      driver.machine.fail(request.id, error: "node not found", at: driver.now, effects: &driver.effects)
    }
    #expect(
      driver.takeSent()
        == "83a54572726f72ae6e6f6465206e6f7420666f756e64a3536571cd012cad536572766963654d6574686f64"
        + "b14e6f64652e55706461746553746174757380")
    #expect(!driver.isClosed)
  }

  @Test(arguments: [
    ("Foo.Bar", "rpc: can't find service Foo.Bar"), ("Status.Bar", "rpc: can't find method Status.Bar"),
    ("X", "rpc: service/method request ill-formed: X"), ("", "rpc: service/method request ill-formed: "),
    (".", "rpc: can't find service ."),
  ])
  func `rejects unknown methods with the usual text and ends the stream`(name: String, text: String) {
    var driver = Driver()
    var request: [UInt8] = []
    RPCRequestHeader.encode(method: name, sequence: 9, into: &request)
    request.append(0x80)
    driver.receive(hex("06 000100010000000100000000") + frame(1, [1]) + frame(1, request))
    let requests = driver.takeRequests()
    #expect(requests.map(\.method) == [.unrecognized])
    guard let id = requests.first?.id else { return }
    #expect(driver.machine.methodName(of: id) == name)
    _ = driver.takeSent()
    driver.machine.reject(id, at: driver.now, effects: &driver.effects)
    var expected: [UInt8] = []
    RPCResponseHeader.encode(method: name, sequence: 9, error: text, into: &expected)
    expected.append(0x80)
    #expect(driver.takeSentBytes() == frame(1, expected) + hex("000100040000000100000000"))
    driver.receive("000100040000000100000000")
    #expect(!driver.isClosed)
  }

  @Test func `hands out pipelined requests of one stream one after the other`() {
    var driver = Driver()
    driver.receive(hex("03 000100010000000100000000") + frame(1, request(1) + request(2) + request(3)))
    var order: [String] = []
    for _ in 1...3 {
      let requests = driver.takeRequests()
      #expect(requests.count == 1)
      guard let next = requests.first else { return }
      order.append(next.body)
      driver.respond(next.id, next.body)
    }
    #expect(order == ["01", "02", "03"])
    #expect(driver.takeRequests().isEmpty)
    let streams = demultiplex(driver.takeSentBytes())
    #expect(streams[1] == answer(1) + answer(2) + answer(3))
  }

  @Test func `keeps streams independent and takes answers in any order`() {
    var driver = Driver()
    var bytes = hex("06")
    for stream in stride(from: UInt32(1), through: 39, by: 2) {
      bytes += syn(stream) + frame(stream, [1]) + frame(stream, request(UInt8(stream)))
    }
    driver.receive(bytes)
    let requests = driver.takeRequests()
    #expect(requests.count == 20)
    for request in requests.reversed() { driver.respond(request.id, request.body) }
    let streams = demultiplex(driver.takeSentBytes())
    for stream in stride(from: UInt32(1), through: 39, by: 2) { #expect(streams[stream] == answer(UInt8(stream))) }
  }

  @Test func `ignores a second answer and one for a later request of the stream`() {
    var driver = Driver()
    driver.receive(hex("01") + request(1) + request(2))
    guard let first = driver.takeRequests().first else { return }
    driver.respond(first.id, "01")
    driver.respond(first.id, "01")
    #expect(driver.takeSentBytes() == answer(1))
    let second = driver.takeRequests().first
    #expect(second?.body == "02")
  }

  @Test func `answers behind the peer's half close and then ends the stream`() {
    var driver = Driver()
    driver.receive(hex("06") + syn(1) + frame(1, [1]) + frame(1, request(5)) + hex("000100040000000100000000"))
    let requests = driver.takeRequests()
    #expect(requests.count == 1)
    _ = driver.takeSent()
    if let request = requests.first { driver.respond(request.id, "05") }
    #expect(driver.takeSentBytes() == frame(1, answer(5)) + hex("000100040000000100000000"))
  }

  @Test func `ends an idle stream when the peer does`() {
    var driver = Driver()
    driver.receive(hex("06") + syn(1) + frame(1, [1]) + frame(1, [], flags: 4))
    #expect(driver.takeSent() == "000100020000000100000000" + "000100040000000100000000")
    #expect(!driver.isClosed)
  }

  @Test func `reports requests that nobody waits for any more`() {
    for ending in ["reset", "disconnect"] {
      var driver = Driver()
      driver.receive(hex("06") + syn(1) + frame(1, [1]) + frame(1, request(5)))
      guard let request = driver.takeRequests().first else { return }
      if ending == "reset" {
        driver.receive("000100080000000100000000")
      } else {
        driver.machine.handleDisconnected(driver.id, .reset, at: driver.now, effects: &driver.effects)
      }
      #expect(driver.takeEvents().contains(.requestAbandoned(request.id)))
      _ = driver.takeSent()
      driver.respond(request.id)
      #expect(driver.takeSent() == "")
    }
  }

  @Test func `answers an undecodable body and ends the stream`() {
    var driver = Driver()
    var bytes: [UInt8] = []
    RPCRequestHeader.encode(method: "Status.Ping", sequence: 1, into: &bytes)
    driver.receive(hex("03") + syn(1) + frame(1, bytes + [0xC1]))
    #expect(driver.takeRequests().isEmpty)
    let sent = driver.takeSentBytes()
    let answer = demultiplex(sent)[1] ?? []
    #expect(answer.bytes.text().contains("msgpack decode error [pos "))
    #expect(hex(sent).hasSuffix("000100040000000100000000"))
  }

  @Test func `ends the stream of an undecodable header without an answer`() {
    var driver = Driver()
    driver.receive(hex("03") + syn(1) + frame(1, hex("ff00")))
    #expect(driver.takeSent() == "000100020000000100000000" + "000100040000000100000000")
    #expect(!driver.isClosed)
    var plain = Driver()
    plain.receive("01 ff 00")
    #expect(plain.takeSent() == "")
    #expect(plain.isClosed)
  }

  @Test func `serves a thousand streams at once`() {
    var driver = Driver()
    var bytes = hex("06")
    for index in 0..<1000 {
      let stream = UInt32(2 * index + 1)
      bytes += syn(stream) + frame(stream, [1])
      bytes += frame(stream, request(UInt8(index & 0x7F)))
    }
    driver.receive(bytes, chunk: 4096)
    let requests = driver.takeRequests()
    #expect(requests.count == 1000)
    for request in requests { driver.respond(request.id, request.body) }
    let streams = demultiplex(driver.takeSentBytes())
    #expect(streams.count == 1000)
    for index in 0..<1000 { #expect(streams[UInt32(2 * index + 1)] == answer(UInt8(index & 0x7F))) }
  }
}

// MARK: Pieces of messages

func syn(_ stream: UInt32) -> [UInt8] {
  var bytes: [UInt8] = []
  YamuxHeader(.windowUpdate, flags: .synchronize, stream: stream).encode(into: &bytes)
  return bytes
}

func frame(_ stream: UInt32, _ payload: [UInt8], flags: UInt16 = 0) -> [UInt8] {
  var bytes: [UInt8] = []
  YamuxHeader(.data, flags: .init(rawValue: flags), stream: stream, length: UInt32(payload.count)).encode(into: &bytes)
  return bytes + payload
}

/// A request to `Status.Peers` whose body is the small number, which is its sequence number too.
func request(_ number: UInt8) -> [UInt8] {
  var bytes: [UInt8] = []
  RPCRequestHeader.encode(method: "Status.Peers", sequence: UInt64(number), into: &bytes)
  return bytes + [number]
}

/// What a machine sends when it is told to answer `request` with the same body.
func answer(_ number: UInt8) -> [UInt8] {
  var bytes: [UInt8] = []
  RPCResponseHeader.encode(method: "Status.Peers", sequence: UInt64(number), into: &bytes)
  return bytes + [number]
}

/// The payload of every stream in a run of frames; nil frames after an undecodable header are left out.
func demultiplex(_ bytes: [UInt8]) -> [UInt32: [UInt8]] {
  var streams: [UInt32: [UInt8]] = [:]
  var offset = 0
  while offset + 12 <= bytes.count {
    guard let header = try? YamuxHeader(bytes.bytes(offset..<bytes.count)) else { break }
    offset += 12
    guard header.kind == .data else { continue }
    let end = min(bytes.count, offset + Int(header.length))
    streams[header.stream, default: []] += bytes[offset..<end]
    offset = end
  }
  return streams
}
