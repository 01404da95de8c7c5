/// Names a byte stream (a TCP connection) between a machine and its shell. Never reused while the process lives.
public struct ConnectionID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let number: UInt64
  @inlinable public init(number: UInt64) { self.number = number }
  @inlinable public static func < (a: ConnectionID, b: ConnectionID) -> Bool { a.number < b.number }
  public var description: String { "c\(number)" }
}

/// Why a byte stream ended or could not be made; the shell and the simulator speak the same words.
public enum StreamEnd: Hashable, Sendable, Error {
  /// The peer closed its side in order (end of file).
  case finished
  case refused
  case timedOut
  case unreachable
  case reset
  /// A local reason: out of descriptors, a limit, the agent stops.
  case local
}

/// The directives a machine gives its shell about the network, in the order given. One outbox is reused for the whole
/// life of the loop, so that steady traffic allocates nothing: payloads are written into one arena and named by range.
///
/// Calling order: the machine appends; when control returns to the shell it walks `directives`, reads the payloads from
/// `arena`, and calls `removeAll()`.
public struct Outbox: Sendable {
  public enum Directive: Hashable, Sendable {
    case datagram(to: SocketAddress, payload: Range<Int>)
    /// Dial; answered by `connected` or `disconnected` for this id. `within` bounds the dial, not the stream.
    case connect(ConnectionID, to: SocketAddress, within: Interval)
    case send(ConnectionID, payload: Range<Int>)
    /// Send what is queued, then end the stream. No event follows for this id.
    case close(ConnectionID)
    /// End at once; queued bytes may be lost. No event follows for this id.
    case abort(ConnectionID)
    /// Stop or resume delivering received bytes: flow control for a slow consumer.
    case pauseReading(ConnectionID)
    case resumeReading(ConnectionID)
  }

  public private(set) var directives: [Directive] = []
  public private(set) var arena: [UInt8] = []
  private var nextConnection: UInt64 = 1

  public init() {}

  public var isEmpty: Bool { directives.isEmpty }

  /// A fresh id; the shell uses it for accepted connections too.
  public mutating func makeConnectionID() -> ConnectionID {
    defer { nextConnection += 1 }
    return ConnectionID(number: nextConnection)
  }

  /// Dials and returns the id under which the answer will come.
  public mutating func connect(to address: SocketAddress, within: Interval) -> ConnectionID {
    let id = makeConnectionID()
    directives.append(.connect(id, to: address, within: within))
    return id
  }

  /// Appends one datagram whose payload `body` writes at the end of the arena it is given. Nothing is sent when `body`
  /// writes nothing.
  public mutating func datagram(to address: SocketAddress, _ body: (inout [UInt8]) -> Void) {
    let start = arena.count
    body(&arena)
    if arena.count > start { directives.append(.datagram(to: address, payload: start..<arena.count)) }
  }

  /// Appends bytes to a stream. Consecutive sends to one stream are merged.
  public mutating func send(_ id: ConnectionID, _ body: (inout [UInt8]) -> Void) {
    let start = arena.count
    body(&arena)
    guard arena.count > start else { return }
    if case .send(id, let previous)? = directives.last, previous.upperBound == start {
      directives[directives.count - 1] = .send(id, payload: previous.lowerBound..<arena.count)
    } else {
      directives.append(.send(id, payload: start..<arena.count))
    }
  }

  public mutating func send(_ id: ConnectionID, bytes: [UInt8]) { send(id) { $0.append(contentsOf: bytes) } }
  public mutating func close(_ id: ConnectionID) { directives.append(.close(id)) }
  public mutating func abort(_ id: ConnectionID) { directives.append(.abort(id)) }
  public mutating func pauseReading(_ id: ConnectionID) { directives.append(.pauseReading(id)) }
  public mutating func resumeReading(_ id: ConnectionID) { directives.append(.resumeReading(id)) }

  /// For the shell, after carrying the directives out.
  public mutating func removeAll() {
    directives.removeAll(keepingCapacity: true)
    // One oversized turn (a snapshot, a large list) must not keep its memory for ever.
    arena.removeAll(keepingCapacity: arena.capacity <= Self.keptArenaBytes)
  }

  static let keptArenaBytes = 1 << 20
}
