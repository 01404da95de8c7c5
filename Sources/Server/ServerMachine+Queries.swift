import Base
import RPC
import State
import Wire

/// Reads of the replicated state, with Nomad's blocking queries (rpc.md 4.1).
extension ServerMachine {
  mutating func answerQuery(
    _ caller: Caller, _ method: RPCMethod, _ name: String, _ body: RawSpan, _ options: QueryOptions,
    _ effects: inout Effects
  ) {
    do throws(RequestError) {
      let topic = try topic(of: method, body)
      if options.minimumQueryIndex > 0, let topic, index(of: topic) <= options.minimumQueryIndex,
        requests.blocked.count < Self.maximumHeld
      {
        let waiter = requests.makeWaiter()
        if watches.watch(topic, waiter) {
          requests.block(
            waiter,
            RequestTable.Kept(
              caller: caller, method: method, name: name, body: body.copy(),
              until: now.instant + blockingTime(options, &effects.random)))
          rememberSession(of: caller, method, body)
          return
        }
      }
      let meta = queryMeta
      let reply = try encodeReply(method, body, options, meta)
      respond(caller, &effects) { $0.append(contentsOf: reply) }
      rememberSession(of: caller, method, body)
    } catch {
      fail(caller, error.text, &effects)
    }
  }

  /// The time of a blocking query is up: answer with what there is.
  mutating func answerNow(_ request: RequestTable.Kept, _ effects: inout Effects) {
    do throws(RequestError) {
      var reader = MessagePackReader(request.body.bytes)
      let options: QueryOptions
      do throws(WireError) { options = try QueryOptions(&reader) } catch { throw .undecodable(error) }
      if !options.allowStale, raft.role == .leader, !isConfirmedLeader(since: nil) {
        return fail(request.caller, noLeaderText, &effects)
      }
      let reply = try encodeReply(request.method, request.body.bytes, options, queryMeta)
      respond(request.caller, &effects) { $0.append(contentsOf: reply) }
    } catch {
      fail(request.caller, error.text, &effects)
    }
  }

  var queryMeta: QueryMeta {
    QueryMeta(
      index: 0, lastContact: raft.lastContact(at: now.instant) ?? .zero, knownLeader: raft.leader != nil)
  }

  private func blockingTime(_ options: QueryOptions, _ random: inout RandomSource) -> Interval {
    let asked = options.maximumQueryTime
    let limit = asked > .zero ? min(asked, Self.blockingDefault) : Self.blockingDefault
    return limit + random.interval(.zero, limit / 16)
  }

  /// What a query depends on; nil when it never blocks.
  private func topic(of method: RPCMethod, _ body: RawSpan) throws(RequestError) -> WatchTopic? {
    switch method {
    case .nodeList: .nodes
    case .nodeGetNode: .node(try state.checkNodeQuery(body))
    case .nodeGetClientAllocations: .allocations(try state.checkAllocationQuery(body))
    case .nodeGetAllocations: .allocations(try state.checkNodeQuery(body))
    case .namespaceListNamespaces, .namespaceGetNamespace: .namespaces
    case .operatorSchedulerGetConfiguration: .scheduler
    default: nil
    }
  }

  private func index(of topic: WatchTopic) -> UInt64 {
    switch topic {
    case .nodes: state.nodesIndex
    case .node(let id): state.index(ofNode: id)
    case .allocations(let id): state.index(ofAllocationsOf: id)
    case .namespaces: state.namespacesIndex
    case .scheduler: state.scheduler?.modifyIndex ?? 0
    case .autopilot: state.autopilot?.modifyIndex ?? 0
    }
  }

  private func encodeReply(
    _ method: RPCMethod, _ body: RawSpan, _ options: QueryOptions, _ meta: QueryMeta
  ) throws(RequestError) -> [UInt8] {
    var out: [UInt8] = []
    switch method {
    case .nodeList:
      state.packNodeList(
        try Self.prefix(options.prefix), fields: try StateStore.stubFields(of: body),
        from: try Self.firstNode(options.nextToken), limit: Int(max(0, options.perPage)), meta, into: &out)
    case .nodeGetNode: state.packGetNode(try state.checkNodeQuery(body), meta, into: &out)
    case .nodeGetClientAllocations: state.packNoAllocations(of: try state.checkAllocationQuery(body), meta, into: &out)
    case .nodeGetAllocations: Self.packEmptyList("Allocs", index: 1, meta, into: &out)
    case .namespaceListNamespaces: state.packNamespaces(prefix: options.prefix, meta, into: &out)
    case .namespaceGetNamespace: state.packNamespace(Self.text("Name", of: body), meta, into: &out)
    case .operatorSchedulerGetConfiguration: state.packScheduler(meta, into: &out)
    case .searchPrefixSearch: packSearch(options, Self.text("Context", of: body), meta, into: &out)
    case .jobList: Self.packEmptyList("Jobs", index: 0, meta, into: &out)
    case .allocationList: Self.packEmptyList("Allocations", index: 0, meta, into: &out)
    case .allocationGetAllocations: Self.packEmptyList("Allocs", index: 1, meta, into: &out)
    case .evalList: Self.packEmptyList("Evaluations", index: 0, meta, into: &out)
    case .deploymentList: Self.packEmptyList("Deployments", index: 0, meta, into: &out)
    case .scalingListPolicies: Self.packEmptyList("Policies", index: 0, meta, into: &out)
    case .csiVolumeList: Self.packEmptyList("Volumes", index: 0, meta, into: &out)
    case .csiPluginList: Self.packEmptyList("Plugins", index: 0, meta, into: &out)
    default: out.packMapHeader(0)
    }
    return out
  }

  private static func prefix(_ text: String) throws(RequestError) -> NodeIDPrefix {
    do throws(NodeIDError) { return try NodeIDPrefix(text) } catch { throw .nodeID(error) }
  }

  private static func firstNode(_ token: String) throws(RequestError) -> NodeID? {
    guard !token.isEmpty else { return nil }
    do throws(NodeIDError) { return try NodeID(token) } catch { throw .nodeID(error) }
  }

  private static func packEmptyList(_ field: String, index: UInt64, _ meta: QueryMeta, into out: inout [UInt8]) {
    var meta = meta
    meta.index = index
    out.packMapHeader(1 + meta.fieldCount)
    out.pack(field)
    out.packNil()
    meta.encodeFields(into: &out)
  }

  /// `Search.PrefixSearch`: of all contexts only nodes and namespaces can hold anything here.
  private func packSearch(_ options: QueryOptions, _ context: String, _ meta: QueryMeta, into out: inout [UInt8]) {
    let all = ["allocs", "deployment", "evals", "jobs", "namespaces", "nodes"]
    let wanted = context.isEmpty || context == "all" ? all : [context]
    var nodes: (ids: [NodeID], truncated: Bool) = ([], false)
    if wanted.contains("nodes"), let prefix = try? NodeIDPrefix(options.prefix) {
      nodes = state.nodeIDs(prefix, maximum: 20)
    }
    var meta = meta
    meta.index = state.nodesIndex
    out.packMapHeader(2 + meta.fieldCount)
    out.pack("Matches")
    out.packMapHeader(wanted.count)
    for name in wanted {
      out.pack(name)
      if name == "nodes" { out.pack(nodes.ids.map(\.description)) } else { out.packArrayHeader(0) }
    }
    out.pack("Truncations")
    out.packMapHeader(wanted.count)
    for name in wanted {
      out.pack(name)
      out.pack(name == "nodes" && nodes.truncated)
    }
    meta.encodeFields(into: &out)
  }

  /// A string field of a request map; empty when it is absent or of another kind.
  static func text(_ key: String, of body: RawSpan) -> String {
    var reader = MessagePackReader(body)
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        if try reader.readString() == key { return try reader.readString() }
        try reader.skip()
      }
      return ""
    } catch {
      return ""
    }
  }
}
