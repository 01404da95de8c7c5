import Base

/// What the outside world did, told to the one owner of a loop. Every call is made on the loop's thread, one at a time,
/// and never from inside a call of the owner to `Loop` or `NetworkShell`.
///
/// The owner gives each event to its machines and lets the outbox fill; in `turnEnded` it hands the outbox to
/// `NetworkShell.perform` and arms the timer with `Loop.setDeadline`. Borrowed bytes are valid during the call only.
public protocol LoopDelegate: AnyObject {
  func received(datagram: RawSpan, from: SocketAddress, on: ListenerTag)

  /// A fresh id for a stream that is about to be announced with `accepted`: normally `Outbox.makeConnectionID()`.
  func makeConnectionID() -> ConnectionID
  func accepted(_ id: ConnectionID, from: SocketAddress, on: ListenerTag)
  /// Our own dial succeeded.
  func connected(_ id: ConnectionID)
  func received(_ id: ConnectionID, _ bytes: RawSpan)
  /// The queue of a stream that was longer than `NetworkShell.congestedBytes` is empty again.
  func drained(_ id: ConnectionID)
  /// The dial failed, or the stream ended without the owner's wish. The last event for this id.
  func disconnected(_ id: ConnectionID, _ end: StreamEnd)

  /// The instant given to `Loop.setDeadline` is reached; the deadline is disarmed.
  func deadlineReached()
  func signal(_ signal: LoopSignal)
  /// All events that were ready are delivered, and the loop is about to wait.
  func turnEnded()
}

extension LoopDelegate {
  public func drained(_ id: ConnectionID) {}
}

/// Which service a listening socket belongs to.
public enum ListenerTag: String, Hashable, Sendable, CaseIterable {
  case gossip, rpc, http
}

/// The signals a loop reports as events.
public enum LoopSignal: Hashable, Sendable, CaseIterable {
  /// SIGINT
  case interrupt
  /// SIGTERM
  case terminate
  /// SIGHUP
  case hangUp
  /// SIGUSR1
  case userOne
}
