import Base

// A node whose network comes and goes dies and returns every minute, and every server would follow. With
// `GossipConfiguration.probation` the protocol goes on as ever, and only the layer above is spared: after the second
// death it hears of a return when the node has stayed.
extension GossipMachine {
  /// True when the node's return is not to be reported now.
  mutating func startProbation(of id: Int, at now: Instant) -> Bool {
    guard let probation = configuration.probation, isLargePool, nodes[id].deaths > 1, !isNeighbour(id) else {
      return false
    }
    let doublings = min(nodes[id].deaths - 2, Self.maximumDoublings)
    nodes[id].probationEnd = now + probation * (1 << doublings)
    probationers.append(id)
    return true
  }

  static let maximumDoublings = 4

  /// True when the layer above does not know that the node was back, and so need not hear of its end.
  mutating func noteDeath(of id: Int, at now: Instant) -> Bool {
    if nodes[id].state == .dead {
      let isAgain = nodes[id].deaths > 0 && now - nodes[id].lastDeath <= configuration.probationMemory
      nodes[id].deaths = isAgain ? nodes[id].deaths + 1 : 1
      nodes[id].lastDeath = now
    }
    guard nodes[id].probationEnd != nil else { return false }
    nodes[id].probationEnd = nil
    probationers.removeAll { $0 == id }
    return true
  }

  mutating func endProbations(at now: Instant, above: inout some GossipLayer, effects: inout Effects) {
    for id in probationers {
      guard let end = nodes[id].probationEnd, now >= end else { continue }
      // Whoever is suspect at this moment has not stayed yet.
      guard nodes[id].state == .alive else {
        nodes[id].probationEnd = now + configuration.probeInterval
        continue
      }
      nodes[id].probationEnd = nil
      above.handleJoined(nodes[id], at: now, effects: &effects)
    }
    probationers.removeAll { nodes[$0].probationEnd == nil }
  }
}
