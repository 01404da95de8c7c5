import Base
import Wire

/// One stream of messages: a yamux stream, or a whole connection without multiplexing (then `id` is 0). Holds no memory
/// of its own unless a message is incomplete or requests are queued behind a slow one.
struct RPCStream: Sendable {
  enum Phase: UInt8, Sendable {
    /// Peer-opened; the mode byte decides. Next: request, streamHeader.
    case mode
    /// Waits for a request. Next: serving, finishing.
    case request
    /// A request is with the owner; later ones queue in `buffer`. Next: request, finishing.
    case serving
    /// An answer waits for the peer's window; no further request is taken. Next: request, finishing.
    case answering
    /// We are done; whatever arrives is dropped until the peer is done too.
    case finishing
    /// Ours, kept for the next call. Next: calling, finishing.
    case idle
    /// Ours, a call waits for its answer. Next: idle, finishing.
    case calling
    /// Peer-opened streaming RPC: waits for its header. Next: streamPending.
    case streamHeader
    /// The owner decides about a streaming RPC. Next: streaming, finishing.
    case streamPending
    /// Our streaming RPC waits for its answer. Next: streaming, finishing.
    case streamOpening
    /// Bytes pass both ways.
    case streaming
  }

  var phase: Phase
  var connection: Int32
  /// Yamux stream id; 0 on connections without multiplexing.
  var id: UInt32
  /// The slot of the call while `calling`.
  var call: Int32 = -1
  var method = RPCMethod.unrecognized
  var peerFinished = false
  /// The stream ends after the answer to the current request.
  var finishesAfterAnswer = false
  /// Counts the requests of this stream, so that a late answer cannot meet the next request.
  var requestNumber: UInt32 = 0
  /// The request's sequence number, to be echoed.
  var sequence: UInt64 = 0
  /// The request's name when `method` is `unrecognized`, to be echoed.
  var methodName: [UInt8] = []
  /// Received and not handed out, from `bufferStart` on.
  var buffer: [UInt8] = []
  var bufferStart = 0
  /// Bytes in `buffer` (or with the owner, when streaming) for which the peer got no new window yet.
  var held = 0
  /// Progress through the incomplete message at `bufferStart`.
  var scanner: MessagePackScanner?
  /// When the incomplete message must be complete, or the peer must have ended a stream that we ended.
  var deadline: Instant?

  init(_ phase: Phase, connection: Int, id: UInt32) {
    self.phase = phase
    self.connection = Int32(connection)
    self.id = id
  }

  static let vacant = RPCStream(.finishing, connection: -1, id: 0)

  var bufferedCount: Int { buffer.count - bufferStart }
  var isServing: Bool { phase == .serving }
}
