import Base
import Testing

@testable import HTTP

/// Drives one machine with text and collects what it sends.
struct HTTPBench {
  var machine: HTTPMachine
  var effects = Effects(seed: 1)
  var now = Instant.start
  let peer = SocketAddress(.loopback, port: 40000)
  private(set) var closed: Set<ConnectionID> = []
  private(set) var aborted: Set<ConnectionID> = []
  private(set) var paused: Set<ConnectionID> = []

  init(limits: HTTPLimits = HTTPLimits()) { machine = HTTPMachine(limits: limits) }

  mutating func accept(from address: SocketAddress? = nil) -> ConnectionID {
    let id = effects.outbox.makeConnectionID()
    machine.handleAccepted(id, from: address ?? peer, at: now, effects: &effects)
    return id
  }

  mutating func feed(_ id: ConnectionID, _ text: String, every count: Int = .max) {
    let bytes = Array(text.utf8)
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, count == .max ? bytes.count : start + count)
      machine.handleReceived(id, Array(bytes[start..<end]).borrowedBytes, at: now, effects: &effects)
      start = end
    }
  }

  mutating func requests() -> [(HTTPRequestID, HTTPRequest)] {
    machine.takeEvents().compactMap { if case .request(let id, let request) = $0 { (id, request) } else { nil } }
  }

  mutating func respond(_ id: HTTPRequestID, _ response: HTTPResponse) {
    machine.respond(id, response, at: now, effects: &effects)
  }

  mutating func sent(_ id: ConnectionID) -> String {
    var bytes: [UInt8] = []
    for directive in effects.outbox.directives {
      switch directive {
      case .send(id, let range): bytes += effects.outbox.arena[range]
      case .close(let other): closed.insert(other)
      case .abort(let other): aborted.insert(other)
      case .pauseReading(let other): paused.insert(other)
      case .resumeReading(let other): paused.remove(other)
      default: break
      }
    }
    effects.outbox.removeAll()
    return String(decoding: bytes, as: UTF8.self)
  }
}

@Suite struct HTTPMachineTests {
  static let get = "GET /v1/nodes?prefix=ab%20c&stale&x=1+2 HTTP/1.1\r\nHost: h\r\nX-Nomad-Token: t \r\n\r\n"

  @Test func readsARequestHowEverItsBytesArrive() throws {
    let put = "PUT /v1/system/gc HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    let chunked =
      "PUT /v1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nT: v\r\n\r\n"
    for size in [1, 2, 3, 7, 50, Int.max] {
      var bench = HTTPBench()
      let id = bench.accept()
      bench.feed(id, Self.get, every: size)
      let first = try #require(bench.requests().first)
      #expect(first.1.path == "/v1/nodes")
      #expect(first.1.query.first("prefix") == "ab c")
      #expect(first.1.query.first("stale") == "")
      #expect(first.1.query.first("x") == "1 2")
      #expect(first.1.query.first("missing") == nil)
      #expect(first.1.header("x-nomad-token") == "t")
      #expect(first.1.remote == bench.peer)
      bench.respond(first.0, HTTPResponse(status: 200))
      bench.feed(id, put, every: size)
      let second = try #require(bench.requests().first)
      #expect(second.1.method == .put && second.1.body == Array("hello".utf8))
      bench.respond(second.0, HTTPResponse(status: 200))
      bench.feed(id, chunked, every: size)
      let third = try #require(bench.requests().first)
      #expect(third.1.body == Array("abcde".utf8))
      #expect(bench.sent(id) == String(repeating: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", count: 2))
      #expect(bench.closed.isEmpty)
    }
  }

  @Test func keepsAnswersInTheOrderOfPipelinedReads() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(
      id, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n")
    let open = bench.requests()
    #expect(open.map(\.1.path) == ["/a", "/b", "/c"])
    bench.respond(open[2].0, HTTPResponse(status: 200, body: Array("3".utf8)))
    bench.respond(open[1].0, HTTPResponse(status: 404))
    #expect(bench.sent(id) == "")
    bench.respond(open[0].0, HTTPResponse(status: 200, text: "1"))
    #expect(
      bench.sent(id) == "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\n1"
        + "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3")
  }

  @Test func aWriteWaitsForTheReadsBeforeItAndHoldsBackWhatFollows() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(
      id,
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
        + "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\ngarbage")
    let first = bench.requests()
    #expect(first.map(\.1.path) == ["/a"])
    bench.respond(first[0].0, HTTPResponse(status: 200))
    let second = bench.requests()
    #expect(second.map(\.1.path) == ["/b"])
    bench.respond(second[0].0, HTTPResponse(status: 200))
    let third = bench.requests()
    #expect(third.map(\.1.path) == ["/c"])
    bench.respond(third[0].0, HTTPResponse(status: 200))
    #expect(bench.sent(id).hasSuffix("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    #expect(bench.closed == [id])
    #expect(bench.machine.connectionCount == 0)
  }

  @Test func answersOldClientsInTheirVersion() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(id, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    bench.respond(bench.requests()[0].0, HTTPResponse(status: 200))
    #expect(bench.sent(id) == "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
    bench.feed(id, "GET / HTTP/1.0\r\n\r\n")
    bench.respond(bench.requests()[0].0, HTTPResponse(status: 200))
    #expect(bench.sent(id) == "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    #expect(bench.closed == [id])
  }

  @Test func invitesTheBodyOnce() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(id, "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    #expect(bench.sent(id) == "HTTP/1.1 100 Continue\r\n\r\n")
    bench.feed(id, "x")
    bench.feed(id, "y")
    #expect(bench.sent(id) == "")
    #expect(bench.requests().first?.1.body == Array("xy".utf8))
  }

  @Test func headAnswersHaveNoBody() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(id, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n")
    bench.respond(bench.requests()[0].0, HTTPResponse(status: 405, text: "Invalid method"))
    #expect(bench.sent(id).hasSuffix("Content-Length: 14\r\n\r\n"))
  }

  @Test(arguments: [
    ("\u{16}\u{3}\u{1}\u{2}", "400 Bad Request", "400 Bad Request"),
    ("GET\r\n\r\n", "400 Bad Request", "400 Bad Request"),
    ("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "400 Bad Request", "400 Bad Request"),
    (
      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request",
      "400 Bad Request"
    ),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", "400 Bad Request", "400 Bad Request"),
    (
      "GET / HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header",
      "400 Bad Request: missing required Host header"
    ),
    (
      "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version",
      "505 HTTP Version Not Supported: unsupported protocol version"
    ),
    (
      "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n", "413 Request Entity Too Large",
      "http: request body too large"
    ),
    (
      "GET / HTTP/1.1\r\nHost: h\r\nX: " + String(repeating: "a", count: 1 << 20) + String(repeating: "b", count: 5000),
      "431 Request Header Fields Too Large", "431 Request Header Fields Too Large"
    ),
    (
      "GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "a: b\r\n", count: 2000) + "\r\n",
      "431 Request Header Fields Too Large", "431 Request Header Fields Too Large"
    ),
  ])
  func refusesInGosWordsAndCloses(input: String, line: String, body: String) {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(id, input)
    #expect(
      bench.sent(id) == "HTTP/1.1 \(line)\r\nContent-Type: text/plain; charset=utf-8\r\n"
        + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)")
    #expect(bench.closed == [id])
    #expect(bench.requests().isEmpty)
    #expect(bench.machine.connectionCount == 0)
  }

  @Test func answersWhatWasGoodBeforeRefusingTheRest() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(id, Self.get + "nonsense\r\n\r\n")
    let open = bench.requests()
    #expect(bench.sent(id) == "")
    bench.respond(open[0].0, HTTPResponse(status: 200))
    #expect(bench.sent(id).hasPrefix("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 400 Bad Request\r\n"))
    #expect(bench.closed == [id])
  }

  @Test func aChunkedBodyIsBoundedToo() {
    var limits = HTTPLimits()
    limits.bodies.ordinaryBytes = 10
    var bench = HTTPBench(limits: limits)
    let id = bench.accept()
    bench.feed(id, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n")
    #expect(bench.sent(id).hasPrefix("HTTP/1.1 413 "))
  }

  @Test func forgetsAPeerThatHasGone() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(id, Self.get)
    let request = bench.requests()[0].0
    bench.machine.handleDisconnected(id, .finished, at: bench.now, effects: &bench.effects)
    #expect(bench.machine.takeEvents() == [.abandoned(request)])
    bench.respond(request, HTTPResponse(status: 200))
    bench.feed(id, Self.get)
    #expect(bench.sent(id) == "")
    #expect(bench.machine.takeEvents().isEmpty)
  }

  @Test func boundsTheConnectionsOfOneAddress() {
    var limits = HTTPLimits()
    limits.connectionsPerAddress = 2
    var bench = HTTPBench(limits: limits)
    let first = bench.accept()
    _ = bench.accept()
    let third = bench.accept()
    #expect(
      bench.sent(third) == "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Length: 81\r\n"
        + "Connection: close\r\n\r\n"
        + "Your IP is issuing too many concurrent connections, please rate limit your calls\n")
    #expect(bench.closed == [third])
    let other = bench.accept(from: SocketAddress(.v4(0x7F00_0009), port: 1))
    #expect(bench.sent(other) == "")
    bench.machine.handleDisconnected(first, .reset, at: bench.now, effects: &bench.effects)
    let fourth = bench.accept()
    bench.feed(fourth, Self.get)
    #expect(bench.requests().count == 1)
  }

  @Test func boundsWhatAPeerPipelines() {
    var bench = HTTPBench()
    let id = bench.accept()
    for _ in 0..<8000 { bench.feed(id, Self.get) }
    var open = bench.requests()
    #expect(open.count == HTTPConnection.maximumPipelined)
    _ = bench.sent(id)
    #expect(bench.paused == [id])
    var answered = 0
    while !open.isEmpty {
      for (request, _) in open { bench.respond(request, HTTPResponse(status: 200)) }
      answered += open.count
      open = bench.requests()
    }
    #expect(answered == 8000)
    _ = bench.sent(id)
    #expect(bench.paused.isEmpty)
  }

  @Test func endsAHeadThatNeverCompletes() {
    var bench = HTTPBench()
    let idle = bench.accept()
    let slow = bench.accept()
    let fast = bench.accept()
    #expect(bench.machine.deadline == nil)
    bench.feed(slow, "GET / HTTP/1.1\r\nHo")
    bench.feed(fast, "GET / HTTP/1.1\r\nHo")
    #expect(bench.machine.deadline == bench.now + .seconds(60))
    bench.feed(fast, "st: h\r\n\r\n")
    bench.now += .seconds(60)
    bench.machine.handleTimeout(at: bench.now, effects: &bench.effects)
    _ = bench.sent(slow)
    #expect(bench.aborted == [slow])
    #expect(bench.machine.deadline == nil)
    #expect(bench.machine.connectionCount == 2)
    _ = idle
  }

  @Test func streamsInChunks() {
    var bench = HTTPBench()
    let id = bench.accept()
    bench.feed(id, Self.get)
    let request = bench.requests()[0].0
    bench.machine.beginStreaming(
      request, status: 200, headers: [HTTPHeader("A", "b\r\nc")], at: bench.now, effects: &bench.effects)
    #expect(bench.sent(id) == "HTTP/1.1 200 OK\r\nA: b  c\r\nTransfer-Encoding: chunked\r\n\r\n")
    bench.machine.stream(request, Array("{}\n".utf8), at: bench.now, effects: &bench.effects)
    #expect(bench.sent(id) == "3\r\n{}\n\r\n")
    bench.machine.endStreaming(request, at: bench.now, effects: &bench.effects)
    #expect(bench.sent(id) == "0\r\n\r\n")
    bench.feed(id, Self.get)
    #expect(bench.requests().count == 1)
  }

  @Test func survivesRandomBytes() {
    var random = RandomSource(seed: 7)
    for _ in 0..<2000 {
      var bench = HTTPBench()
      let id = bench.accept()
      var bytes = Array(Self.get.utf8)
      for _ in 0..<4 { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next()) }
      bench.machine.handleReceived(id, bytes.borrowedBytes, at: bench.now, effects: &bench.effects)
      for (request, _) in bench.requests() { bench.respond(request, HTTPResponse(status: 200)) }
    }
  }
}
