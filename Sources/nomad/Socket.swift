// Blocking TCP for the command: the only file that touches sockets.
import Glibc
import HTTP

/// Why no answer came, in the words of Go's `net` package: `dial tcp 127.0.0.1:4646: connect: connection refused`.
struct TransportError: Error {
  var text: String
}

/// One request as it leaves the command.
struct OutgoingRequest {
  var method: String
  var address: Address
  /// Path and query.
  var target: String
  var headers: [HTTPHeader] = []
  var body: [UInt8]?
}

/// Carries requests out. Gets the parts of a streamed body as they come when it is given a sink.
typealias Transport = (OutgoingRequest, (([UInt8]) -> Void)?) throws(TransportError) -> HTTPResponse

/// As long as Go's default client.
private let connectMilliseconds: Int32 = 30_000

/// Sends one request over a fresh connection and waits for its answer, however long: reads may block for minutes.
func exchangeOverTCP(
  _ request: OutgoingRequest, _ sink: (([UInt8]) -> Void)?
) throws(TransportError) -> HTTPResponse {
  guard request.address.scheme == "http" else {
    throw TransportError(
      text: request.address.scheme == "https"
        ? "https: this build of the command does not speak TLS"
        : "unsupported protocol scheme \"\(request.address.scheme)\"")
  }
  let descriptor = try connect(request.address)
  defer { close(descriptor) }
  try send(encoded(request), descriptor)
  var parser = HTTPResponseParser()
  var chunk = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
    if count < 0 {
      if errno == EINTR { continue }
      throw TransportError(text: "read tcp: read: \(systemMessage(errno))")
    }
    do throws(HTTPResponseParser.Failure) {
      if count == 0 { return try parser.finish() }
      var offset = 0
      let received = Array(chunk[..<count])
      if let response = try parser.parse(received.borrowedBytes, from: &offset) {
        if let sink { sink(response.body) }
        return response
      }
      if let sink, let part = parser.takePartialBody() { sink(part) }
    } catch {
      switch error {
      case .truncated: throw TransportError(text: "EOF")
      case .malformed: throw TransportError(text: "malformed HTTP response")
      case .tooLarge: throw TransportError(text: "the answer is too large")
      }
    }
  }
}

private func encoded(_ request: OutgoingRequest) -> [UInt8] {
  var text = "\(request.method) \(request.target) HTTP/1.1\r\nHost: \(request.address.authority)\r\n"
  text += "User-Agent: nomad\r\nAccept-Encoding: identity\r\nConnection: close\r\n"
  for header in request.headers { text += "\(header.name): \(header.value)\r\n" }
  if let body = request.body { text += "Content-Length: \(body.count)\r\n" }
  return Array((text + "\r\n").utf8) + (request.body ?? [])
}

private func connect(_ address: Address) throws(TransportError) -> Int32 {
  var hints = unsafe addrinfo()
  unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
  var list: UnsafeMutablePointer<addrinfo>?
  let code = unsafe getaddrinfo(address.host, String(address.port), &hints, &list)
  guard code == 0, let first = unsafe list else {
    let reason = code == EAI_NONAME || code == EAI_NODATA ? "no such host" : unsafe String(cString: gai_strerror(code))
    throw TransportError(text: "dial tcp: lookup \(address.host): \(reason)")
  }
  defer { unsafe freeaddrinfo(first) }
  var candidate: UnsafeMutablePointer<addrinfo>? = unsafe first
  var failure = TransportError(text: "dial tcp: lookup \(address.host): no such host")
  while let current = unsafe candidate {
    do throws(TransportError) { return try unsafe connect(current.pointee) } catch { failure = error }
    unsafe candidate = current.pointee.ai_next
  }
  throw failure
}

private let EAI_NODATA: Int32 = -5

private func connect(_ info: addrinfo) throws(TransportError) -> Int32 {
  let name = unsafe numericName(info)
  let descriptor = unsafe socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
  guard descriptor >= 0 else { throw TransportError(text: "dial tcp \(name): socket: \(systemMessage(errno))") }
  // Non-blocking only while connecting, for the time-out.
  let flags = fcntl(descriptor, F_GETFL)
  _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
  var code: Int32 = 0
  if unsafe connect(descriptor, info.ai_addr, info.ai_addrlen) != 0 {
    code = errno
    if code == EINPROGRESS { code = waitForConnection(descriptor) }
  }
  _ = fcntl(descriptor, F_SETFL, flags)
  guard code == 0 else {
    close(descriptor)
    throw TransportError(
      text: "dial tcp \(name): " + (code == ETIMEDOUT ? "i/o timeout" : "connect: \(systemMessage(code))"))
  }
  return descriptor
}

/// The error number of the attempt, 0 for success.
private func waitForConnection(_ descriptor: Int32) -> Int32 {
  var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
  while true {
    let count = unsafe poll(&event, 1, connectMilliseconds)
    if count == 0 { return ETIMEDOUT }
    if count > 0 { break }
    if errno != EINTR { return errno }
  }
  var code: Int32 = 0
  var size = socklen_t(MemoryLayout<Int32>.size)
  guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else { return errno }
  return code
}

private func numericName(_ info: addrinfo) -> String {
  var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
  var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
  guard
    unsafe getnameinfo(
      info.ai_addr, info.ai_addrlen, &host, socklen_t(host.count), &port, socklen_t(port.count),
      NI_NUMERICHOST | NI_NUMERICSERV) == 0
  else { return "?" }
  func text(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
  let name = text(host)
  return (name.contains(":") ? "[\(name)]" : name) + ":" + text(port)
}

private func send(_ bytes: [UInt8], _ descriptor: Int32) throws(TransportError) {
  var offset = 0
  while offset < bytes.count {
    let count = unsafe bytes.withUnsafeBytes {
      unsafe send(descriptor, $0.baseAddress?.advanced(by: offset), $0.count - offset, Int32(MSG_NOSIGNAL))
    }
    if count < 0 {
      if errno == EINTR { continue }
      // A server that answers early and closes has still an answer to read.
      if errno == EPIPE || errno == ECONNRESET { return }
      throw TransportError(text: "write tcp: write: \(systemMessage(errno))")
    }
    offset += count
  }
}
