import Base

/// One TCP connection that this machine owns.
struct RPCConnection: Sendable {
  enum Stage: UInt8, Sendable {
    /// Accepted; the first byte is awaited. Next: plain, multiplexed, or gone.
    case accepted
    /// Our dial is under way. Next: multiplexed, or gone.
    case dialing
    /// One stream of messages without yamux: first byte 01 or 05.
    case plain
    case multiplexed
  }

  let id: ConnectionID
  let peer: SocketAddress
  let isDialer: Bool
  var stage: Stage
  /// Streams begin with a mode byte: first byte 06, not 03.
  var hasModes = true
  /// Counted against the streaming limit of its address.
  var isStreaming = false
  /// Reading was paused because a plain stream's queue is full.
  var isPaused = false
  /// Taken out of the pool: no new calls, closed when the last stream is gone.
  var isDraining = false
  var session: YamuxSession
  /// The only stream of a plain connection.
  var plainStream: Int32 = -1
  /// Our streams that wait for a next call, most recently used last.
  var idle: [Int32] = []
  /// Calls that wait for the dial or for a stream.
  var waiting: [Int32] = []
  /// Streaming RPCs of ours that wait for the dial.
  var waitingStreams: [Int32] = []
  var buffered = 0
  var lastUsed: Instant
  var handshakeDeadline: Instant?
  /// The earliest deadline of its streams, or earlier.
  var streamDeadline: Instant?
  /// Peer-opened streams whose mode byte is awaited.
  var modeless = 0
  /// When the timer heap will look at this connection.
  var armedAt: Instant?

  static let vacant = RPCConnection(
    id: ConnectionID(number: 0), peer: SocketAddress(.any4, port: 0), isDialer: false, stage: .accepted, at: .start)

  init(id: ConnectionID, peer: SocketAddress, isDialer: Bool, stage: Stage, streams: Int = 0, at now: Instant) {
    self.id = id
    self.peer = peer
    self.isDialer = isDialer
    self.stage = stage
    session = YamuxSession(isDialer: isDialer, maximumStreams: streams, at: now)
    lastUsed = now
  }
}

/// A call of ours.
struct RPCCall: Sendable {
  var connection: Int32
  /// -1 while it waits.
  var stream: Int32 = -1
  var deadline: Instant
  /// The encoded request while it waits for a dial or a stream.
  var request: [UInt8] = []

  static let vacant = RPCCall(connection: -1, deadline: .start)
}
