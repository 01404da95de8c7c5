import Base
import Wire

/// Reads. None changes the state; each says what it costs when it is not O(log n).
extension StateStore {
  public var nodeCount: Int { nodes.count }

  public func node(_ id: NodeID) -> Node? { nodes[id] }

  /// Every node in the order of the ids. O(n).
  public func forEachNode(_ body: (Node) -> Void) { nodes.forEach(body) }

  /// At most `limit` nodes, from the first whose id is not below `start`. Returns the id to go on with, nil at the end.
  public func forEachNode(from start: NodeID, limit: Int, _ body: (Node) -> Void) -> NodeID? {
    nodes.forEach(from: start, limit: limit, body)
  }

  /// Nodes that are down and have not changed since `index`: what the collector may deregister. O(n), at most
  /// `maximum` ids.
  public func collectableNodes(notChangedSince index: UInt64, maximum: Int) -> [NodeID] {
    var ids: [NodeID] = []
    nodes.forEach { node in
      if ids.count < maximum, node.status == Node.down, node.modifyIndex <= index { ids.append(node.id) }
    }
    return ids
  }

  /// Last index at which a table changed, by Nomad's name of the table; 0 when it never did.
  public func index(ofTable name: String) -> UInt64 { indexes[name] }

  public var nodesIndex: UInt64 { indexes[TableIndexes.nodes] }

  /// Index of `Node.GetNode`: of the node, or of the table while the node is unknown (http.md 4.1).
  public func index(ofNode id: NodeID) -> UInt64 { nodes[id]?.modifyIndex ?? nodesIndex }

  /// Index of an allocation query; at least 1, or clients spin (rpc.md 5.5).
  public func index(ofAllocationsOf id: NodeID) -> UInt64 { 1 }

  public var namespacesIndex: UInt64 { indexes[TableIndexes.namespaces] }

  /// Appends the reply of `Node.GetNode`; an unknown node is nil. The index of `meta` is replaced.
  public func packGetNode(_ id: NodeID, _ meta: QueryMeta, into out: inout [UInt8]) {
    var meta = meta
    meta.index = index(ofNode: id)
    out.packMapHeader(1 + meta.fieldCount)
    meta.encodeFields(into: &out)
    out.pack("Node")
    if let node = nodes[id] { node.pack(into: &out, blankingSecret: true) } else { out.packNil() }
  }

  /// Appends the reply of `Node.List`. `limit` 0 means all; a shorter page sets the next token. The index of `meta` is
  /// replaced. O(nodes in the answer).
  public func packNodeList(
    _ prefix: NodeIDPrefix, fields: NodeStubFields, from first: NodeID? = nil, limit: Int = 0, _ meta: QueryMeta,
    into out: inout [UInt8]
  ) {
    var meta = meta
    meta.index = nodesIndex
    var positions = nodes.positions(prefix)
    if let first { positions = positions.clamped(to: nodes.lowerBound(first)..<nodes.count) }
    if limit > 0, positions.count > limit {
      let end = positions.lowerBound + limit
      meta.nextToken = nodes[at: end].id.description
      positions = positions.lowerBound..<end
    }
    out.packMapHeader(1 + meta.fieldCount)
    meta.encodeFields(into: &out)
    out.pack("Nodes")
    out.packArrayHeader(positions.count)
    for position in positions { nodes[at: position].packStub(into: &out, fields: fields) }
  }

  /// Ids with a prefix for `Search.PrefixSearch`, at most `maximum`.
  public func nodeIDs(_ prefix: NodeIDPrefix, maximum: Int) -> (ids: [NodeID], truncated: Bool) {
    let positions = nodes.positions(prefix)
    return (positions.prefix(maximum).map { nodes[at: $0].id }, positions.count > maximum)
  }

  /// Appends the reply of `Namespace.ListNamespaces`.
  public func packNamespaces(prefix: String, _ meta: QueryMeta, into out: inout [UInt8]) {
    var meta = meta
    meta.index = namespacesIndex
    let rows = namespaces.rows.filter { $0.name.hasPrefix(prefix) }
    out.packMapHeader(1 + meta.fieldCount)
    meta.encodeFields(into: &out)
    out.pack("Namespaces")
    out.packArrayHeader(rows.count)
    for row in rows { out.append(contentsOf: row.encoded) }
  }

  /// Appends the reply of `Namespace.GetNamespace`; an unknown one is nil.
  public func packNamespace(_ name: String, _ meta: QueryMeta, into out: inout [UInt8]) {
    var meta = meta
    meta.index = namespacesIndex
    out.packMapHeader(1 + meta.fieldCount)
    meta.encodeFields(into: &out)
    out.pack("Namespace")
    out.pack(encoded: namespaces[name]?.encoded)
  }

  /// Appends the reply of `Operator.SchedulerGetConfiguration`.
  public func packScheduler(_ meta: QueryMeta, into out: inout [UInt8]) {
    var meta = meta
    meta.index = scheduler?.modifyIndex ?? 0
    out.packMapHeader(1 + meta.fieldCount)
    meta.encodeFields(into: &out)
    out.pack("SchedulerConfig")
    out.pack(encoded: scheduler?.encoded)
  }

  // MARK: Requests of reads

  /// Checks the body of `Node.GetNode` and `Node.GetAllocs` and gives the id.
  public func checkNodeQuery(_ body: RawSpan) throws(RequestError) -> NodeID {
    let request = try Self.change(body)
    guard !request.nodeIDText.isEmpty else { throw .missing(.id) }
    return try Self.nodeID(request.nodeIDText)
  }

  /// Checks the body of `Node.GetClientAllocs` and gives the id. An unknown node is no error: a server that lags
  /// answers it with nothing.
  public func checkAllocationQuery(_ body: RawSpan) throws(RequestError) -> NodeID {
    let request = try Self.change(body)
    guard !request.nodeIDText.isEmpty else { throw .missing(.allocationsID) }
    guard !request.secretID.isEmpty else { throw .missing(.allocationsSecretID) }
    let id = try Self.nodeID(request.nodeIDText)
    if let node = nodes[id], node.secretID != request.secretID { throw .secretMismatch }
    return id
  }

  /// Appends the reply of `Node.GetClientAllocs`: no work.
  public func packNoAllocations(of id: NodeID, _ meta: QueryMeta, into out: inout [UInt8]) {
    var meta = meta
    meta.index = index(ofAllocationsOf: id)
    out.packMapHeader(2 + meta.fieldCount)
    out.pack("Allocs")
    out.packMapHeader(0)
    meta.encodeFields(into: &out)
    out.pack("MigrateTokens")
    out.packMapHeader(0)
  }

  /// `Fields` of a `Node.List` request.
  public static func stubFields(of body: RawSpan) throws(RequestError) -> NodeStubFields {
    try RequestError.decoding { () throws(WireError) in
      var fields: NodeStubFields = []
      var reader = MessagePackReader(body)
      try reader.readPairs { key, values throws(WireError) in
        guard key.equals("Fields") else { return _ = try values.skip() }
        try values.readPairs { name, flags throws(WireError) in
          switch name {
          case "Resources": if try flags.readBool() { fields.insert(.resources) }
          case "OS": if try flags.readBool() { fields.insert(.os) }
          default: try flags.skip()
          }
        }
      }
      return fields
    }
  }
}
