import Base
import Harness
import RPC
import Reactor
import Wire

/// Why a load could not be put on the server.
enum LoadFailure: Error, CustomStringConvertible {
  case connection(SocketAddress, StreamEnd)
  case timedOut(String)
  case refused(String)

  var description: String {
    switch self {
    case .connection(let address, let end): "cannot connect to \(address): \(end)"
    case .timedOut(let what): "\(what) took too long"
    case .refused(let text): "the server refused: \(text)"
    }
  }
}

/// Many connections to one server, each with streams that carry one call at a time. The protocol is the server's own
/// session machine with as little as possible around it, so that one core of load keeps one core of server busy.
final class RPCLoad: LoopDelegate {
  /// Dials under way at once: less than a listener's usual backlog.
  static let maximumDials = 128
  /// Nomad's limit on the connections of one client address.
  static let connectionsPerSource = 100
  static let stepTimeout = Interval.seconds(120)

  private let target: SocketAddress
  private let requests: LoadRequests
  private let loop: Loop
  private let network: NetworkShell
  private var outbox = Outbox()
  private var lines: [LoadConnection] = []
  private var positions: [ConnectionID: Int] = [:]
  private var method = LoadMethod.ping
  /// A stream that has its answer goes on until here.
  private var callUntil = Instant.start
  private var unanswered = 0
  private var awaited: (count: Int, start: Instant)?
  private var connected = 0
  private var failure: LoadFailure?

  private(set) var times = LatencyHistogram()
  private(set) var errors = 0
  private(set) var firstError: String?

  init(_ target: SocketAddress, requests: LoadRequests) throws(LoopError) {
    self.target = target
    self.requests = requests
    loop = try Loop()
    network = try NetworkShell(loop: loop)
    network.maximumStreams = 200_000
  }

  func end() {
    network.close()
    loop.shutDown()
  }

  // MARK: Steps

  /// Dials all connections and opens their streams. With `spreadsSources` each hundred comes from an address of its
  /// own.
  func open(connections: Int, streams: Int, spreadsSources: Bool = false) throws(LoadFailure) {
    while lines.count < connections {
      let source = lines.count / Self.connectionsPerSource
      if spreadsSources { network.dialFrom = [.v4(UInt32(127) << 24 | UInt32(64) << 16 | UInt32(source + 1))] }
      let room = Self.connectionsPerSource - lines.count % Self.connectionsPerSource
      for _ in 0..<min(room, connections - lines.count) { dial(streams: streams) }
      network.perform(&outbox)
      try run("connecting") { [self] in failure != nil || connected + Self.maximumDials > lines.count }
    }
    try run("connecting") { [self] in failure != nil || connected == lines.count }
  }

  private func dial(streams: Int) {
    let id = outbox.connect(to: target, within: .seconds(10))
    positions[id] = lines.count
    lines.append(LoadConnection(id: id, firstNumber: lines.count * streams, streams: streams))
  }

  /// One call on every stream; throws when one of them fails.
  func callOnce(_ method: LoadMethod) throws(LoadFailure) {
    forgetResults()
    callUntil = .start
    start(method)
    try run(requests.name(of: method)) { [self] in unanswered == 0 }
    if let firstError { throw .refused(firstError) }
  }

  /// Keeps one call on every stream under way for this long; returns when the last answer is there.
  func call(_ method: LoadMethod, for time: Interval) {
    callUntil = MonotonicClock.now() + time
    start(method)
    if !loop.run(self, within: time + .seconds(10), until: { [self] in unanswered == 0 }) {
      note(error: "\(unanswered) calls without an answer")
      errors += unanswered
      unanswered = 0
    }
  }

  /// One query on every stream that the server answers much later.
  func startWaitingQueries() {
    forgetResults()
    callUntil = .start
    start(.idle)
  }

  func wait(_ time: Interval) { _ = loop.run(self, within: time, until: { false }) }

  /// Waits until every connection was told of this many servers; the time of each, counted from `start`.
  func awaitServers(_ count: Int, since start: Instant) throws(LoadFailure) {
    awaited = (count, start)
    for position in lines.indices where lines[position].servers >= count { times.add(.zero) }
    try run("telling of \(count) servers") { [self] in times.count >= UInt64(lines.count) || failure != nil }
  }

  private func note(servers: Int, _ position: Int, _ now: Instant) {
    let before = lines[position].servers
    lines[position].servers = servers
    guard let awaited, before < awaited.count, servers >= awaited.count else { return }
    times.add(now - awaited.start)
  }

  func forgetResults() {
    times.removeAll()
    errors = 0
    firstError = nil
  }

  private func run(_ step: String, until condition: () -> Bool) throws(LoadFailure) {
    let isDone = loop.run(self, within: Self.stepTimeout, until: condition)
    if let failure { throw failure }
    if !isDone { throw .timedOut(step) }
  }

  private func start(_ method: LoadMethod) {
    self.method = method
    for position in lines.indices where !lines[position].hasEnded {
      for stream in 0..<lines[position].streams.count {
        lines[position].streams[stream].body = requests.body(
          of: method, number: lines[position].firstNumber + stream)
      }
      unanswered += lines[position].streams.count
      outbox.send(lines[position].id) { output in
        for stream in 0..<lines[position].streams.count {
          lines[position].call(requests.name(of: method), on: stream, at: MonotonicClock.now(), output: &output)
        }
      }
    }
    network.perform(&outbox)
  }

  private func note(error: String) {
    if firstError == nil { firstError = error }
  }

  // MARK: Events of the loop

  func connected(_ id: ConnectionID) {
    guard let position = positions[id] else { return }
    connected += 1
    outbox.send(id) { lines[position].open(at: MonotonicClock.now(), output: &$0) }
  }

  func received(_ id: ConnectionID, _ bytes: RawSpan) {
    guard let position = positions[id] else { return }
    let now = MonotonicClock.now()
    let name = requests.name(of: method)
    var offset = 0
    outbox.send(id) { output in
      while let answer = lines[position].receive(bytes, at: &offset, now: now, output: &output) {
        switch answer {
        case .success(let stream, let sentAt):
          times.add(now - sentAt)
          finish(position, stream, name, now, &output)
        case .failure(let stream, let text):
          errors += 1
          note(error: text)
          finish(position, stream, name, now, &output)
        case .told(let servers): note(servers: servers, position, now)
        case .ended(let text): lost(position, text)
        }
      }
    }
  }

  private func finish(_ position: Int, _ stream: Int, _ name: String, _ now: Instant, _ output: inout [UInt8]) {
    if now < callUntil {
      lines[position].call(name, on: stream, at: now, output: &output)
    } else {
      unanswered -= 1
    }
  }

  private func lost(_ position: Int, _ text: String) {
    guard !lines[position].hasEnded else { return }
    lines[position].hasEnded = true
    let count = lines[position].streams.count { $0.isBusy }
    errors += max(1, count)
    unanswered -= count
    note(error: text)
  }

  func disconnected(_ id: ConnectionID, _ end: StreamEnd) {
    guard let position = positions[id] else { return }
    if !lines[position].isOpen { failure = .connection(target, end) }
    lost(position, "connection lost: \(end)")
  }

  func turnEnded() { network.perform(&outbox) }

  func makeConnectionID() -> ConnectionID { outbox.makeConnectionID() }
  func accepted(_ id: ConnectionID, from: SocketAddress, on: ListenerTag) {}
  func received(datagram: RawSpan, from: SocketAddress, on: ListenerTag) {}
  func deadlineReached() {}
  func signal(_ signal: LoopSignal) {}
}
