import Base
import Wire

/// Effects of the node messages (rpc.md 5.2 to 5.6, raft.md 7.3).
extension StateStore {
  mutating func registerNode(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    var node: Node?
    var event: [UInt8]?
    try Self.pairs(of: body) { key, values throws(ApplyError) in
      switch key {
      case "Node": node = try Self.node(&values)
      case "NodeEvent": event = try ApplyError.decoding { () throws(WireError) in try values.readEncoded() }
      default: try ApplyError.decoding { () throws(WireError) in _ = try values.skip() }
      }
    }
    guard var node else { throw .undecodable(.typeMismatch) }
    if let stored = nodes[node.id] {
      node.keepStoredFields(of: stored)
      if stored.status == Node.down, node.status != Node.down {
        node.events.append(node.event(NodeEvent.reregistered), createIndex: change.index)
      }
    } else {
      node.createIndex = change.index
      node.events = NodeEventList()
      node.events.append(node.event(NodeEvent.registered), createIndex: 0)
    }
    try node.append(event, index: change.index)
    store(node, &change)
    indexes[TableIndexes.csiPlugins] = change.index
  }

  mutating func deregisterNode(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    let request = try NodeChange(decoding: body)
    try remove([try request.nodeID()], &change)
  }

  mutating func deregisterNodes(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    var texts: [String] = []
    try Self.pairs(of: body) { key, values throws(ApplyError) in
      try ApplyError.decoding { () throws(WireError) in
        guard key.equals("NodeIDs") else { return _ = try values.skip() }
        for _ in 0..<(try values.readArrayHeader()) { texts.append(try values.readString()) }
      }
    }
    guard !texts.isEmpty else { throw .missingNodeIDs }
    var ids: [NodeID] = []
    for text in texts { ids.append(try Self.id(text)) }
    try remove(ids, &change)
  }

  /// All or nothing.
  private mutating func remove(_ ids: [NodeID], _ change: inout Change) throws(ApplyError) {
    for id in ids where nodes[id] == nil { throw .nodeNotFound }
    for id in ids {
      nodes.remove(id)
      change.touchNode(id)
    }
    indexes[TableIndexes.nodes] = change.index
    indexes[TableIndexes.csiPlugins] = change.index
  }

  mutating func updateStatus(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    let request = try NodeChange(decoding: body)
    var node = try stored(try request.nodeID())
    node.status = request.status
    node.statusUpdatedAt = request.updatedAt
    try node.append(request.event, index: change.index)
    store(node, &change)
  }

  mutating func updateEligibility(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    let request = try NodeChange(decoding: body)
    var node = try stored(try request.nodeID())
    if node.isDraining, request.eligibility == Node.eligible { throw .eligibleWhileDraining }
    node.eligibility = request.eligibility
    node.statusUpdatedAt = request.updatedAt
    try node.append(request.event, index: change.index)
    store(node, &change)
  }

  mutating func updateDrain(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    let request = try NodeChange(decoding: body)
    var node = try stored(try request.nodeID())
    try node.append(request.event, index: change.index)
    try node.drain(
      request.drainStrategy, markEligible: request.markEligible, at: request.updatedAt, meta: request.meta,
      ending: "canceled")
    store(node, &change)
  }

  mutating func updateDrains(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    let batch = try DrainBatch(decoding: body)
    var changed: [Node] = []
    for (text, update) in batch.updates {
      var node = try stored(try Self.id(text))
      try node.append(batch.events.last { $0.id == text }?.event, index: change.index)
      try node.drain(
        update.drainStrategy, markEligible: update.markEligible, at: batch.updatedAt, meta: nil, ending: "complete")
      changed.append(node)
    }
    for node in changed { store(node, &change) }
  }

  mutating func upsertEvents(_ body: RawSpan, _ change: inout Change) throws(ApplyError) {
    var changed: [Node] = []
    try Self.pairs(of: body) { key, values throws(ApplyError) in
      guard key.equals("NodeEvents") else {
        return try ApplyError.decoding { () throws(WireError) in _ = try values.skip() }
      }
      try Self.forEachPair(&values) { text, events throws(ApplyError) in
        try ApplyError.decoding { () throws(WireError) in
          // A node that is unknown, or an id that is none, is silently ignored (rpc.md 5.6).
          var node = nodes[text.text()]
          for _ in 0..<(try events.readArrayHeader()) {
            if try events.readNil() { continue }
            try node?.events.append(try events.skip(), createIndex: change.index)
          }
          if let node { changed.append(node) }
        }
      }
    }
    for node in changed { store(node, &change) }
  }

  private mutating func store(_ node: Node, _ change: inout Change) {
    var node = node
    node.modifyIndex = change.index
    nodes.store(node)
    indexes[TableIndexes.nodes] = change.index
    change.touchNode(node.id)
  }

  private func stored(_ id: NodeID) throws(ApplyError) -> Node {
    guard let node = nodes[id] else { throw .nodeNotFound }
    return node
  }

  static func id(_ text: String) throws(ApplyError) -> NodeID {
    do throws(NodeIDError) { return try NodeID(text) } catch { throw .invalidNodeID(error) }
  }

  private static func node(_ values: inout MessagePackReader) throws(ApplyError) -> Node? {
    let bytes = try ApplyError.decoding { () throws(WireError) in try values.readEncoded() }
    guard let bytes else { return nil }
    do throws(NodeDecodingError) {
      return try Node(decoding: bytes.bytes)
    } catch {
      switch error {
      case .wire(let error): throw .undecodable(error)
      case .id(let error): throw .invalidNodeID(error)
      }
    }
  }

  static func pairs(
    of body: RawSpan, _ visit: (RawSpan, inout MessagePackReader) throws(ApplyError) -> Void
  ) throws(ApplyError) {
    var reader = MessagePackReader(body)
    try forEachPair(&reader, visit)
  }

  static func forEachPair(
    _ reader: inout MessagePackReader, _ visit: (RawSpan, inout MessagePackReader) throws(ApplyError) -> Void
  ) throws(ApplyError) {
    let count: Int
    do throws(WireError) { count = try reader.readMapHeader() } catch { throw .undecodable(error) }
    for _ in 0..<count {
      let key: RawSpan
      do throws(WireError) { key = try reader.readRaw() } catch { throw .undecodable(error) }
      try visit(key, &reader)
    }
  }
}

extension NodeTable {
  /// Nil for a text that is no id, too.
  subscript(text: String) -> Node? {
    do throws(NodeIDError) { return self[try NodeID(text)] } catch { return nil }
  }
}

extension Node {
  /// What a stored record keeps when its client registers again (rpc.md 5.2).
  mutating func keepStoredFields(of stored: Node) {
    createIndex = stored.createIndex
    events = stored.events
    eligibility = stored.eligibility
    drainStrategy = stored.drainStrategy
    lastDrain = stored.lastDrain
    lastMissedHeartbeatIndex = stored.lastMissedHeartbeatIndex ?? lastMissedHeartbeatIndex
    lastAllocUpdateIndex = stored.lastAllocUpdateIndex ?? lastAllocUpdateIndex
  }

  /// An event of the store itself happens when the status was set, by the leader's clock in the request.
  func event(_ message: String) -> NodeEvent {
    NodeEvent(message, at: WallTime(unixNanoseconds: statusUpdatedAt.multipliedClamping(by: 1_000_000_000)))
  }

  mutating func append(_ event: [UInt8]?, index: UInt64) throws(ApplyError) {
    guard let event else { return }
    do throws(WireError) {
      try events.append(event.bytes, createIndex: index)
    } catch {
      throw .undecodable(error)
    }
  }

  /// Sets or ends a drain. `ending` is the word for `LastDrain` when a running drain ends.
  mutating func drain(
    _ strategy: [UInt8]?, markEligible: Bool, at unixSeconds: Int64, meta: [UInt8]?, ending: StaticString
  ) throws(ApplyError) {
    let wasDraining = isDraining
    if strategy != nil || wasDraining {
      let draining = strategy != nil
      var record = LastDrain()
      if wasDraining, let lastDrain { record = try LastDrain(decoding: lastDrain) }
      if draining, !wasDraining { record.startedAt = unixSeconds }
      record.updatedAt = unixSeconds
      record.status = draining ? "draining" : String(describing: ending)
      if let meta { record.meta = meta }
      lastDrain = record.encoded()
    }
    drainStrategy = strategy
    if strategy != nil {
      eligibility = Node.ineligible
    } else if markEligible {
      eligibility = Node.eligible
    }
    statusUpdatedAt = unixSeconds
  }
}

extension Int64 {
  func multipliedClamping(by factor: Int64) -> Int64 {
    let (product, overflow) = multipliedReportingOverflow(by: factor)
    return overflow ? ((self > 0) == (factor > 0) ? .max : .min) : product
  }
}
