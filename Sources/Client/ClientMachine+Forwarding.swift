import Base
import RPC
import Wire

/// A call that the client makes for its HTTP interface.
struct Forward: Sendable {
  let id: ForwardID
  let method: String
  let body: [UInt8]
  let deadline: Instant
  /// Servers still to be asked.
  var queue: [SocketAddress]
  var address: SocketAddress?
  var call: CallID?
}

extension ClientMachine {
  /// Forwards in flight; beyond it the answer is an error.
  public static let maximumForwards = 512

  /// Sends a request of someone else to a server; `body` is its encoded argument. A server that cannot be reached, so
  /// that nothing was sent, is followed by the next one; every other end is reported as it is. The answer comes as
  /// `.answered`.
  public mutating func forward(
    _ method: String, body: [UInt8], deadline: Instant, at now: Instant, effects: inout Effects
  ) -> ForwardID {
    let id = ForwardID(number: nextForward)
    nextForward += 1
    guard !isStopped, forwards.count < Self.maximumForwards, !servers.isEmpty else {
      emit(.answered(id, .error("no servers")))
      return id
    }
    var forward = Forward(id: id, method: method, body: body, deadline: deadline, queue: servers.addresses)
    send(&forward, at: now, effects: &effects)
    forwards.append(forward)
    return id
  }

  /// Gives up on a forward: no event follows.
  public mutating func cancel(_ id: ForwardID, at now: Instant, effects: inout Effects) {
    guard let position = forwards.firstIndex(where: { $0.id == id }) else { return }
    if let call = forwards[position].call { rpc.cancel(call, at: now, effects: &effects) }
    forwards.remove(at: position)
  }

  mutating func finishForward(
    _ call: CallID, _ outcome: RPCOutcome, _ batch: borrowing RPCEventBatch, at now: Instant, effects: inout Effects
  ) {
    guard let position = forwards.firstIndex(where: { $0.call == call }) else { return }
    let answer = Answer(outcome, batch, from: forwards[position].address)
    switch answer {
    case .reply(let bytes): end(position, .reply(bytes))
    case .remoteError(let text): end(position, .error(RPCErrorText.relayed(text)))
    case .failure(.dial, _), .failure(.noStream, _):
      if let address = forwards[position].address { servers.moveToEnd(address) }
      guard !forwards[position].queue.isEmpty, now < forwards[position].deadline else {
        return end(position, .error(answer.errorText))
      }
      var forward = forwards[position]
      send(&forward, at: now, effects: &effects)
      forwards[position] = forward
    case .failure: end(position, .error(answer.errorText))
    }
  }

  /// Precondition: the queue is not empty.
  private mutating func send(_ forward: inout Forward, at now: Instant, effects: inout Effects) {
    let address = forward.queue.removeFirst()
    let body = forward.body
    forward.address = address
    forward.call = rpc.call(
      named: forward.method, to: address, deadline: forward.deadline, at: now, effects: &effects
    ) { $0.append(contentsOf: body) }
  }

  private mutating func end(_ position: Int, _ answer: ForwardAnswer) {
    emit(.answered(forwards[position].id, answer))
    forwards.remove(at: position)
  }
}
