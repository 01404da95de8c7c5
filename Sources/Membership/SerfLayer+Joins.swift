import Base
import Gossip
import Wire

/// A `join` command in progress.
struct PendingJoin {
  let id: JoinID
  let addresses: [SocketAddress]
  /// `nil` while an address is not decided.
  var results: [JoinOutcome.Result?]

  var isFinished: Bool { results.allSatisfy { $0 != nil } }
}

/// A state exchange that somebody waits for.
struct PendingExchange {
  enum Purpose {
    case join(JoinID, position: Int)
    /// A member of the snapshot after a restart.
    case rejoin(SocketAddress)
    /// A failed member.
    case reconnect
  }

  let token: ExchangeToken
  let address: SocketAddress
  let purpose: Purpose
  var isStarted = false
}

extension SerfLayer {
  mutating func requestExchange(with address: SocketAddress, _ purpose: PendingExchange.Purpose) {
    exchanges.append(
      PendingExchange(token: ExchangeToken(number: takeNumber()), address: address, purpose: purpose))
  }

  mutating func handleExchangeFinished(
    _ token: ExchangeToken, _ outcome: ExchangeOutcome, at now: Instant, effects: inout Effects
  ) {
    guard let index = exchanges.firstIndex(where: { $0.token == token }) else { return }
    let exchange = exchanges.remove(at: index)
    let result: JoinOutcome.Result =
      switch outcome {
      case .merged(let nodes): .joined(nodes: nodes)
      case .reachedOurselves: .ownAddress
      case .refused(let reason): .refused(reason)
      case .ended(let end): .failed(end)
      }
    switch exchange.purpose {
    case .join(let id, let position):
      if case .joined = result { announceJoin(now: now) }
      settle(id, position: position, result)
    case .rejoin(let address):
      if case .joined = result {
        effects.log.log(.info, Self.logModule, "serf: Re-joined to previously known node: \(address)")
        announceJoin(now: now)
      }
    case .reconnect: break
    }
  }

  mutating func settle(_ id: JoinID, position: Int, _ result: JoinOutcome.Result) {
    guard let index = joins.firstIndex(where: { $0.id == id }) else { return }
    joins[index].results[position] = result
    finishIfComplete(index)
  }

  mutating func finishIfComplete(_ index: Int) {
    guard joins[index].isFinished else { return }
    let join = joins.remove(at: index)
    let outcomes = zip(join.addresses, join.results).compactMap { address, result in
      result.map { JoinOutcome(address: address, result: $0) }
    }
    events.append(.joinFinished(join.id, outcomes))
  }

  /// The clock was raised by the merge, so the intent beats every stale "left" about us. Said once per clock value.
  private mutating func announceJoin(now: Instant) {
    guard lifecycle == .alive else { return }
    if let id = members.find(localName.bytes), members[id].member.statusTime >= clock.time { return }
    broadcastJoinIntent(now: now)
  }
}
