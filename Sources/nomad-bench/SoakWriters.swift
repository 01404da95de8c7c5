import Base
import Harness
import RPC
import Reactor
import Wire

/// Clients that register over and over, each with a version that grows, through whichever server answers; they remember
/// what was acknowledged.
final class SoakWriters: LoopDelegate {
  private static let retryPause = Interval.milliseconds(20)

  private struct Line {
    var target: SocketAddress
    var connection: LoadConnection?
    /// Versions handed out and acknowledged, by stream.
    var sent: [Int]
    var acknowledged: [Int]
  }

  private let loop: Loop
  private let network: NetworkShell
  private let requests: LoadRequests
  private var outbox = Outbox()
  private var lines: [Line]
  private var positions: [ConnectionID: Int] = [:]
  private(set) var writes = 0
  private(set) var refusals = 0

  init(_ targets: [SocketAddress], streams: Int) throws(LoopError) {
    loop = try Loop()
    network = try NetworkShell(loop: loop)
    requests = LoadRequests(.register, region: "global")
    lines = targets.map {
      Line(
        target: $0, connection: nil, sent: Array(repeating: 0, count: streams),
        acknowledged: Array(repeating: 0, count: streams))
    }
  }

  func end() {
    network.close()
    loop.shutDown()
  }

  /// Writes for this long.
  func run(for time: Interval) {
    tick()
    network.perform(&outbox)
    _ = loop.run(self, within: time, until: { false })
  }

  /// Writes until `count` more writes are acknowledged; false when that takes too long.
  func run(until count: Int, within limit: Interval) -> Bool {
    let goal = writes + count
    tick()
    network.perform(&outbox)
    return loop.run(self, within: limit, until: { [self] in writes >= goal })
  }

  /// The name under which each version of a node is registered.
  static func name(of node: Int, version: Int) -> String { "soak-\(node)-\(version)" }

  /// Newest acknowledged version by node; nodes that never had an answer are left out.
  var acknowledged: [Int: Int] {
    var result: [Int: Int] = [:]
    for (line, one) in lines.enumerated() {
      for (stream, version) in one.acknowledged.enumerated() where version > 0 {
        result[line * one.sent.count + stream] = version
      }
    }
    return result
  }

  // MARK: Events

  /// Dials what is not connected and calls on streams that rest.
  private func tick() {
    for position in lines.indices {
      guard let connection = lines[position].connection else {
        let id = outbox.connect(to: lines[position].target, within: .seconds(2))
        positions[id] = position
        lines[position].connection = LoadConnection(
          id: id, firstNumber: position * lines[position].sent.count, streams: lines[position].sent.count)
        continue
      }
      guard connection.isOpen else { continue }
      outbox.send(connection.id) { output in
        for stream in lines[position].sent.indices where !connection.streams[stream].isBusy {
          write(position, stream, &output)
        }
      }
    }
    loop.setDeadline(MonotonicClock.now() + Self.retryPause)
  }

  private func write(_ position: Int, _ stream: Int, _ output: inout [UInt8]) {
    lines[position].sent[stream] += 1
    let node = position * lines[position].sent.count + stream
    let body = requests.registration(
      number: node, name: Self.name(of: node, version: lines[position].sent[stream]))
    lines[position].connection?.streams[stream].body = body
    lines[position].connection?.call("Node.Register", on: stream, at: MonotonicClock.now(), output: &output)
  }

  func connected(_ id: ConnectionID) {
    guard let position = positions[id], lines[position].connection?.id == id else { return }
    outbox.send(id) { output in
      lines[position].connection?.open(at: MonotonicClock.now(), output: &output)
      for stream in lines[position].sent.indices { write(position, stream, &output) }
    }
  }

  func received(_ id: ConnectionID, _ bytes: RawSpan) {
    guard let position = positions[id], lines[position].connection?.id == id else { return }
    let now = MonotonicClock.now()
    var offset = 0
    var hasEnded = false
    outbox.send(id) { output in
      while !hasEnded,
        let answer = lines[position].connection?.receive(bytes, at: &offset, now: now, output: &output)
      {
        switch answer {
        case .success(let stream, _):
          writes += 1
          lines[position].acknowledged[stream] = lines[position].sent[stream]
          write(position, stream, &output)
        case .failure:
          // Maybe written, maybe not; the next version follows after a pause.
          refusals += 1
        case .told: break
        case .ended: hasEnded = true
        }
      }
    }
    if hasEnded {
      outbox.abort(id)
      lose(id)
    }
  }

  func disconnected(_ id: ConnectionID, _ end: StreamEnd) { lose(id) }

  private func lose(_ id: ConnectionID) {
    guard let position = positions.removeValue(forKey: id) else { return }
    lines[position].connection = nil
  }

  func deadlineReached() { tick() }
  func turnEnded() { network.perform(&outbox) }
  func makeConnectionID() -> ConnectionID { outbox.makeConnectionID() }
  func accepted(_ id: ConnectionID, from: SocketAddress, on: ListenerTag) {}
  func received(datagram: RawSpan, from: SocketAddress, on: ListenerTag) {}
  func signal(_ signal: LoopSignal) {}
}
