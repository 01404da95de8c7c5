import Base
import CSystem
import Glibc

/// Carries out an `Outbox` on real sockets: listeners, datagrams and streams of one loop.
///
/// It decides nothing about a protocol. Events go to the delegate of the running loop; no call to this type ever calls
/// the delegate back before it returns, so the owner may hold its machines exclusively while it calls.
@safe public final class NetworkShell {
  /// Above this much waiting, `LoopDelegate.drained` tells when the queue is empty again.
  public static let congestedBytes = 256 << 10
  /// How long a closed stream may take to send what is queued and to see the peer finish; then it is reset.
  public static let closeWithin = Interval.seconds(5)

  public let loop: Loop
  public internal(set) var counters = NetworkCounters()
  /// A stream whose peer does not read is ended (`.local`) when more than this waits for it.
  public var maximumQueuedBytes = 32 << 20
  /// Streams beyond this number, accepted and dialled together, are refused.
  public var maximumStreams = 16_384
  /// Local addresses that dials leave from, at most one per family; the system chooses where there is none.
  public var dialFrom: [IPAddress] = []

  let slab: ReceiveSlab
  var pool = SendBlockPool()
  var datagramEndpoints: [DatagramEndpoint] = []
  var listeners: [StreamListener] = []
  /// The streams the owner knows.
  var streams: [ConnectionID: StreamEndpoint] = [:]
  /// Streams the owner is done with, which still send or wait for the peer to finish.
  var closing: [ConnectionID: StreamEndpoint] = [:]
  private var deadlines = DeadlineHeap()
  private var deadlineTimer: LoopTimer?
  private var reserve: Int32
  private var isClosed = false

  /// Payloads of the outbox being performed, linked per stream. Kept for its capacity.
  var chain: [(payload: Range<Int>, next: Int)] = []
  var touched: [StreamEndpoint] = []
  var gather = GatherList()

  public init(loop: Loop) throws(LoopError) {
    self.loop = loop
    slab = try ReceiveSlab()
    reserve = csystem_open_reserve()
    deadlineTimer = unsafe LoopTimer(on: loop.raw) { [unowned self] in expire() }
    loop.atShutDown { [weak self] in self?.close() }
  }

  deinit { close() }

  /// The streams the owner knows, dials in progress included.
  public var streamCount: Int { streams.count }
  /// Streams that were closed and still send what was queued. Run the loop until this is 0 before `close` to lose
  /// nothing.
  public var closingCount: Int { closing.count }

  /// Bytes that wait for the peer to read them; 0 for an unknown stream.
  public func queuedBytes(of id: ConnectionID) -> Int { streams[id]?.queuedBytes ?? 0 }

  /// Ends everything at once, without events. Called by `Loop.shutDown` too.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    closeListeners()
    for stream in Array(streams.values) + Array(closing.values) { stream.closeNow() }
    deadlineTimer?.close()
    if reserve >= 0 { Glibc.close(reserve) }
  }

  /// Stops listening, for streams and datagrams; existing streams go on.
  public func closeListeners() {
    for endpoint in datagramEndpoints { endpoint.close() }
    for listener in listeners { listener.close() }
    datagramEndpoints = []
    listeners = []
  }

  // MARK: Streams

  /// A listener took a peer in.
  func accepted(_ descriptor: Int32, from: SocketAddress, on tag: ListenerTag) {
    guard streams.count + closing.count < maximumStreams, let delegate = loop.delegate else {
      counters.streamsShed += 1
      Glibc.close(descriptor)
      return
    }
    let stream = StreamEndpoint(delegate.makeConnectionID(), isDialled: false, shell: self)
    guard stream.adopt(descriptor) else {
      counters.streamsShed += 1
      Glibc.close(descriptor)
      return stream.closeNow()
    }
    counters.streamsAccepted += 1
    precondition(streams[stream.id] == nil, "connection ids are never reused")
    streams[stream.id] = stream
    delegate.accepted(stream.id, from: from, on: tag)
    if case .open = stream.state { stream.startReading() }
  }

  func dial(_ id: ConnectionID, _ address: SocketAddress, within limit: Interval) {
    let stream = StreamEndpoint(id, isDialled: true, shell: self)
    precondition(streams[id] == nil, "connection ids are never reused")
    streams[id] = stream
    guard !isClosed, streams.count + closing.count <= maximumStreams else { return stream.endLater(.local) }
    counters.streamsDialled += 1
    let descriptor = dialSocket(for: address)
    guard descriptor >= 0 else { return stream.endLater(StreamEnd(code: descriptor)) }
    guard stream.adopt(descriptor) else {
      Glibc.close(descriptor)
      return stream.endLater(.local)
    }
    let code = stream.dial(address)
    guard code == 0 else { return stream.endLater(StreamEnd(code: code)) }
    expect(id, within: limit)
  }

  private func dialSocket(for peer: SocketAddress) -> Int32 {
    var system = peer.system
    guard var local = localAddress(for: peer)?.system else { return unsafe csystem_tcp_dial_socket(&system, nil) }
    return unsafe csystem_tcp_dial_socket(&system, &local)
  }

  private func localAddress(for peer: SocketAddress) -> SocketAddress? {
    for host in dialFrom {
      let local = SocketAddress(host, port: 0)
      // From a loopback address only loopback can be reached, and the other way round.
      if local.isIPv6 == peer.isIPv6, host.isLoopback == peer.host.isLoopback { return local }
    }
    return nil
  }

  /// The owner is done with a stream.
  func finish(_ stream: StreamEndpoint) {
    streams[stream.id] = nil
    closing[stream.id] = stream
    stream.drain()
    if closing[stream.id] != nil { expect(stream.id, within: Self.closeWithin) }
  }

  /// A stream ended by itself: release it, then tell the owner.
  func ended(_ stream: StreamEndpoint, _ end: StreamEnd) {
    if case .finished = end { finish(stream) } else { stream.closeNow() }
    loop.delegate?.disconnected(stream.id, end)
  }

  /// Called by a stream when it closes.
  func forget(_ stream: StreamEndpoint) {
    streams[stream.id] = nil
    closing[stream.id] = nil
  }

  // MARK: Deadlines

  private func expect(_ id: ConnectionID, within limit: Interval) {
    deadlines.insert(id, at: loop.now + limit)
    deadlineTimer?.arm(deadlines.earliest)
  }

  private func expire() {
    let now = Loop.monotonicNow()
    while let id = deadlines.popExpired(at: now) {
      if let stream = closing[id] {
        stream.closeNow(reset: true)
      } else if let stream = streams[id], case .connecting = stream.state {
        ended(stream, .timedOut)
      }
    }
    deadlineTimer?.arm(deadlines.earliest)
  }

  /// Runs `body` while one more descriptor is free than otherwise.
  func withReserveReleased(_ body: () -> Void) {
    if reserve >= 0 { Glibc.close(reserve) }
    body()
    reserve = csystem_open_reserve()
  }
}
