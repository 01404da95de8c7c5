import Base

/// One TCP connection of the virtual network. Bytes of one direction arrive in order, cut into any pieces.
final class VirtualStream {
  enum Side { case dialer, acceptor }

  struct Handle {
    let stream: VirtualStream
    let side: Side
  }

  enum Item {
    case bytes([UInt8])
    case end(StreamEnd)
  }

  /// One end, and what is on its way to it.
  struct Endpoint {
    let agent: Int
    let life: Int
    var id: ConnectionID?
    var state = State.open
    var queue: [Item] = []
    var head = 0
    /// Nothing sent later arrives before this.
    var lastDue = Instant.start
    /// A part was not acknowledged: the sender tries again then, and nothing passes before.
    var retryAt: Instant?
    var retries = 0
    var isPaused = false
    /// Arrivals that wait for reading to go on.
    var held = 0

    enum State {
      case open
      /// The owner is done with it: what arrives is read and thrown away.
      case closed
      /// Gone: what arrives is answered by a reset.
      case reset
    }

    var next: Item? { head < queue.count ? queue[head] : nil }

    /// When what is not acknowledged is sent again.
    mutating func retransmit(at now: Instant) -> Instant {
      if let retryAt, retryAt > now { return retryAt }
      let due = now + Simulation.retransmission * (1 << min(retries, Simulation.retransmissionDoublingsMax))
      retries += 1
      retryAt = due
      return due
    }

    mutating func removeNext() {
      head += 1
      if head == queue.count {
        queue.removeAll(keepingCapacity: true)
        head = 0
      }
    }
  }

  let source: SocketAddress
  let target: SocketAddress
  let dialUntil: Instant
  var dialAttempts = 0
  /// Until the dialer knows how its dial ended.
  var isDialing = true
  /// Sent before the dial succeeded.
  var early: [Item] = []
  var dialer: Endpoint
  var acceptor: Endpoint?

  init(
    from agent: VirtualAgent, _ id: ConnectionID, source: SocketAddress, to target: SocketAddress, until: Instant
  ) {
    self.source = source
    self.target = target
    dialUntil = until
    dialer = Endpoint(agent: agent.number, life: agent.life, id: id)
  }

  subscript(_ side: Side) -> Endpoint {
    get { side == .dialer ? dialer : acceptor ?? dialer }
    set { if side == .dialer { dialer = newValue } else { acceptor = newValue } }
    _modify {
      if side == .dialer {
        yield &dialer
      } else if acceptor != nil {
        yield &acceptor!
      } else {
        var nobody = dialer
        yield &nobody
      }
    }
  }
}

extension VirtualStream.Side {
  var other: VirtualStream.Side { self == .dialer ? .acceptor : .dialer }
}
