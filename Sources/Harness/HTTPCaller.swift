import Base
import Glibc
import HTTP

/// The calling side of an HTTP connection that never blocks: one request at a time, kept open between requests.
///
/// Call `send`, then `advance` whenever `descriptor` is ready for `awaitedEvents` (or now and then) until it says
/// something other than `.waiting`. After a failure the next `send` dials again.
public final class HTTPCaller {
  public enum Progress {
    case waiting
    case answered(HTTPResponse)
    /// Refused, reset, or not HTTP. Normal while an agent is starting.
    case failed(HarnessError)
  }

  private enum State {
    /// Legal successors: `connecting`, `idle` never directly.
    case closed
    /// Legal successors: `sending`, `closed`.
    case connecting
    /// Legal successors: `receiving`, `closed`.
    case sending(from: Int)
    /// Legal successors: `idle`, `closed`.
    case receiving
    /// Legal successors: `sending`.
    case idle
  }

  public let address: SocketAddress
  public private(set) var descriptor: Int32 = -1
  private var state = State.closed
  private var request: [UInt8] = []
  private var reader = HTTPResponseParser()
  /// A kept connection may have been closed by the peer since the last answer; then one fresh dial is fair.
  private var mayRedial = false

  public init(to address: SocketAddress) { self.address = address }
  deinit { disconnect() }

  /// The poll(2) events that `advance` waits for; 0 when no request is under way.
  public var awaitedEvents: Int16 {
    switch state {
    case .closed, .idle: 0
    case .connecting, .sending: Int16(POLLOUT)
    case .receiving: Int16(POLLIN)
    }
  }

  /// Starts a request. Precondition: none is under way.
  public func send(_ method: String = "GET", _ target: String, body: [UInt8] = []) {
    precondition(awaitedEvents == 0)
    var head = "\(method) \(target) HTTP/1.1\r\nHost: \(address)\r\n"
    if !body.isEmpty || method != "GET" { head += "Content-Length: \(body.count)\r\n" }
    request = Array("\(head)\r\n".utf8) + body
    reader = HTTPResponseParser()
    reachedEnd = false
    if case .idle = state {
      mayRedial = true
      state = .sending(from: 0)
    } else {
      dial()
    }
  }

  /// Does what can be done without blocking.
  public func advance() -> Progress {
    do throws(HarnessError) {
      while true {
        switch state {
        case .closed:
          // The dial failed at once.
          throw .system("connect to \(address)", code: dialError)
        case .idle:
          return .waiting
        case .connecting:
          guard try isConnected() else { return .waiting }
          state = .sending(from: 0)
        case .sending(let start):
          guard let sent = try write(from: start) else { return .waiting }
          state = start + sent == request.count ? .receiving : .sending(from: start + sent)
        case .receiving:
          guard let answer = try receive() else { return .waiting }
          // Whoever closes without saying so is noticed, and forgiven, at the next request.
          answer.hasHeader("connection", "close") || reachedEnd ? disconnect() : (state = .idle)
          return .answered(answer)
        }
      }
    } catch {
      disconnect()
      guard mayRedial else { return .failed(error) }
      dial()
      return .waiting
    }
  }

  /// Forgets the request under way, if any, and closes.
  public func disconnect() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
    state = .closed
  }

  private var dialError: Int32 = 0
  private var reachedEnd = false

  private func dial() {
    disconnect()
    mayRedial = false
    reader = HTTPResponseParser()
    dialError = 0
    let type = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
    descriptor = socket(address.family, Int32(type), 0)
    guard descriptor >= 0 else {
      dialError = errno
      return
    }
    var one: Int32 = 1
    unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    let result = unsafe address.withPOSIX { unsafe connect(descriptor, $0, $1) }
    if result == 0 || errno == EINPROGRESS {
      state = .connecting
    } else {
      dialError = errno
      disconnect()
    }
  }

  /// Asks without waiting: the socket is writable once the handshake is over, one way or the other.
  private func isConnected() throws(HarnessError) -> Bool {
    var question = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard unsafe poll(&question, 1, 0) > 0 else { return false }
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
    guard code == 0 else { throw .system("connect to \(address)", code: code) }
    return true
  }

  /// The count of bytes that the socket took, or `nil` when its buffer is full.
  private func write(from start: Int) throws(HarnessError) -> Int? {
    let count = unsafe request[start...].withUnsafeBytes { bytes in
      unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
    }
    if count >= 0 { return count }
    if errno == EAGAIN || errno == EINTR { return nil }
    throw .system("send to \(address)")
  }

  private func receive() throws(HarnessError) -> HTTPResponse? {
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN { return nil }
        throw .system("receive from \(address)")
      }
      if count == 0 {
        reachedEnd = true
        do { return try reader.finish() } catch { throw .badAnswer("\(error), from \(address)") }
      }
      // From the first byte on the answer belongs to this request: no second try.
      mayRedial = false
      do {
        // Bytes after the answer are dropped: there is one request at a time.
        var offset = 0
        if let answer = try reader.parse(chunk.borrowedBytes.extracting(0..<count), from: &offset) { return answer }
      } catch {
        throw .badAnswer("\(error), from \(address)")
      }
    }
  }
}

extension HTTPResponse {
  /// The body as UTF-8.
  public var text: String { String(decoding: body, as: UTF8.self) }

  /// Whether a header with this name has this value; both in lower case.
  func hasHeader(_ name: String, _ value: String) -> Bool {
    headers.contains { $0.name.lowercased() == name && $0.value.lowercased() == value }
  }
}
