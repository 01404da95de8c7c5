import Base
import Wire

/// Names a yamux session (or a plain connection) for as long as it lives; the value of an ended one is recognised.
public struct SessionID: Hashable, Sendable {
  let slot: SlotName
}

/// Names a request that waits for our answer.
public struct RequestID: Hashable, Sendable {
  let slot: SlotName
  /// Counts the requests of one stream.
  let number: UInt32
}

/// Names a call of ours that waits for its answer.
public struct CallID: Hashable, Sendable {
  let slot: SlotName
}

/// Names one end of a streaming RPC.
public struct StreamHandle: Hashable, Sendable {
  let slot: SlotName
}

/// What `RPCMachine` reports. Ranges are offsets into the arena of the batch the event is in.
public enum RPCEvent: Hashable, Sendable {
  /// A request to be answered with `respond`, `fail`, `failAndFinish` or `reject`, at any later time. `body` is one
  /// encoded value.
  case request(RequestID, session: SessionID, method: RPCMethod, body: Range<Int>)
  /// The peer or its connection is gone; the request needs no answer (giving one is harmless).
  case requestAbandoned(RequestID)
  /// The end of a call.
  case response(CallID, RPCOutcome)
  /// A session was established by the peer (`isDialer` false) or by us.
  case sessionStarted(SessionID, peer: SocketAddress, isDialer: Bool)
  case sessionEnded(SessionID)
  /// The peer chose the Raft transport. The connection is no longer this machine's; the leftover bytes came behind the
  /// first one.
  case raftConnection(ConnectionID, from: SocketAddress, leftover: Range<Int>)

  /// A streaming RPC begins; to be answered with `acceptStream` or `rejectStream`.
  case streamingRequest(StreamHandle, session: SessionID, method: RPCMethod, name: Range<Int>)
  /// The answer to `openStream`: an empty range means accepted, else the error text.
  case streamingAnswer(StreamHandle, error: Range<Int>)
  /// Bytes of an accepted streaming RPC; `creditStream` lets the peer send more.
  case streamBytes(StreamHandle, Range<Int>)
  /// The peer sends no more; our direction stays open until `finishStream`.
  case streamFinished(StreamHandle)
  /// Everything given to `sendStream` has left for the peer.
  case streamDrained(StreamHandle)
  /// The stream is gone, both directions.
  case streamEnded(StreamHandle)
}

/// How a call ended.
public enum RPCOutcome: Hashable, Sendable {
  /// One encoded value.
  case reply(Range<Int>)
  /// The text the peer answered with, as sent.
  case remoteError(Range<Int>)
  case failure(RPCFailure)
}

/// Why no answer came. `dial` and `noStream` mean that the request was not sent.
public enum RPCFailure: Error, Hashable, Sendable {
  case dial(StreamEnd)
  /// The session is gone, or takes no more streams.
  case noStream
  /// More calls than the configuration allows.
  case tooManyCalls
  /// The connection or the stream ended before the answer.
  case ended
  case timedOut
  /// The answer was no response, or too large.
  case malformed

  /// The text a Go caller would see; peers match on parts of it.
  public func text(address: SocketAddress?) -> String {
    let target = address.map { " \($0)" } ?? ""
    switch self {
    case .dial(let end): return "rpc error: failed to get conn: dial tcp\(target): \(Self.cause(end))"
    case .noStream: return "rpc error: failed to start stream: session shutdown"
    case .tooManyCalls: return "rpc error: failed to get conn: too many outstanding calls"
    case .ended: return "rpc error: EOF"
    case .timedOut: return "rpc error: i/o timeout"
    case .malformed: return "rpc error: msgpack decode error"
    }
  }

  private static func cause(_ end: StreamEnd) -> String {
    switch end {
    case .refused: "connect: connection refused"
    case .timedOut: "i/o timeout"
    case .unreachable: "connect: no route to host"
    case .reset: "connect: connection reset by peer"
    case .finished: "EOF"
    case .local: "connect: resource temporarily unavailable"
    }
  }
}

/// Events and the bytes they name. The owner keeps one batch and swaps it with the machine's, so steady traffic
/// allocates nothing and the machine may be called while the batch is read.
public struct RPCEventBatch: Sendable {
  public internal(set) var events: [RPCEvent] = []
  public internal(set) var arena: [UInt8] = []

  static let keptArenaBytes = 1 << 20

  public init() {}

  public var isEmpty: Bool { events.isEmpty }

  /// The bytes of a range that came with one of the events.
  @_lifetime(borrow self)
  public func bytes(_ range: Range<Int>) -> RawSpan { arena.bytes(range) }

  /// Forgets everything; keeps the memory unless one turn was unusually large.
  public mutating func removeAll() {
    events.removeAll(keepingCapacity: true)
    arena.removeAll(keepingCapacity: arena.capacity <= Self.keptArenaBytes)
  }

  mutating func append(_ bytes: RawSpan) -> Range<Int> {
    let start = arena.count
    arena.append(contentsOf: bytes)
    return start..<arena.count
  }
}

/// Error texts between hops (rpc.md section 7.1).
public enum RPCErrorText {
  /// What an agent answers when it relays an error: prefixed once with `rpc error: `, coded errors unchanged.
  public static func relayed(_ text: String) -> String {
    text.hasPrefix("RPC Error:: ") || text.hasPrefix("rpc error: ") ? text : "rpc error: " + text
  }

  /// `RPC Error:: 404,job not found`, which the HTTP layer of any hop turns into its status code.
  public static func coded(_ code: Int, _ message: String) -> String { "RPC Error:: \(code),\(message)" }
}
