import Base

/// Every RPC this project serves, calls or relays by name, with its `Service.Method` text. Anything else arrives as
/// `unrecognized`; a request's name is then kept as foreign bytes.
public enum RPCMethod: String, CaseIterable, Sendable {
  case unrecognized = ""

  case statusPing = "Status.Ping"
  case statusLeader = "Status.Leader"
  case statusPeers = "Status.Peers"
  case statusRaftStats = "Status.RaftStats"
  case statusMembers = "Status.Members"
  case statusHasNodeConnection = "Status.HasNodeConn"
  case statusVersion = "Status.Version"

  case nodeRegister = "Node.Register"
  case nodeUpdateStatus = "Node.UpdateStatus"
  case nodeGetClientAllocations = "Node.GetClientAllocs"
  case nodeGetNode = "Node.GetNode"
  case nodeGetAllocations = "Node.GetAllocs"
  case nodeList = "Node.List"
  case nodeUpdateDrain = "Node.UpdateDrain"
  case nodeUpdateEligibility = "Node.UpdateEligibility"
  case nodeEvaluate = "Node.Evaluate"
  case nodeDeregister = "Node.Deregister"
  case nodeBatchDeregister = "Node.BatchDeregister"
  case nodeUpdateAllocation = "Node.UpdateAlloc"
  case nodeEmitEvents = "Node.EmitEvents"
  case nodeDeriveVaultToken = "Node.DeriveVaultToken"
  case nodeDeriveSIToken = "Node.DeriveSIToken"

  case evalDequeue = "Eval.Dequeue"
  case evalAcknowledge = "Eval.Ack"
  case evalReject = "Eval.Nack"
  case evalUpdate = "Eval.Update"
  case evalCreate = "Eval.Create"
  case evalReblock = "Eval.Reblock"
  case evalReap = "Eval.Reap"
  case evalList = "Eval.List"
  case evalGetEval = "Eval.GetEval"
  case planSubmit = "Plan.Submit"

  case regionList = "Region.List"
  case operatorRaftGetConfiguration = "Operator.RaftGetConfiguration"
  case operatorRaftRemovePeerByAddress = "Operator.RaftRemovePeerByAddress"
  case operatorRaftRemovePeerByID = "Operator.RaftRemovePeerByID"
  case operatorAutopilotGetConfiguration = "Operator.AutopilotGetConfiguration"
  case operatorAutopilotSetConfiguration = "Operator.AutopilotSetConfiguration"
  case operatorServerHealth = "Operator.ServerHealth"
  case operatorSchedulerGetConfiguration = "Operator.SchedulerGetConfiguration"
  case operatorSchedulerSetConfiguration = "Operator.SchedulerSetConfiguration"
  case operatorTransferLeadershipToPeer = "Operator.TransferLeadershipToPeer"
  case systemGarbageCollect = "System.GarbageCollect"
  case systemReconcileJobSummaries = "System.ReconcileJobSummaries"

  case namespaceListNamespaces = "Namespace.ListNamespaces"
  case namespaceGetNamespace = "Namespace.GetNamespace"
  case namespaceGetNamespaces = "Namespace.GetNamespaces"
  case searchPrefixSearch = "Search.PrefixSearch"
  case searchFuzzySearch = "Search.FuzzySearch"
  case jobList = "Job.List"
  case jobBatchDeregister = "Job.BatchDeregister"
  case allocationList = "Alloc.List"
  case allocationGetAllocations = "Alloc.GetAllocs"
  case deploymentList = "Deployment.List"
  case deploymentReap = "Deployment.Reap"
  case scalingListPolicies = "Scaling.ListPolicies"
  case csiVolumeList = "CSIVolume.List"
  case csiPluginList = "CSIPlugin.List"
  case aclResolveToken = "ACL.ResolveToken"
  case aclGetPolicies = "ACL.GetPolicies"
  case aclListPolicies = "ACL.ListPolicies"
  case aclListTokens = "ACL.ListTokens"
  case keyringGet = "Keyring.Get"

  case agentHost = "Agent.Host"
  case agentProfile = "Agent.Profile"
  case agentMonitor = "Agent.Monitor"
  case clientStatsStats = "ClientStats.Stats"
  case eventStream = "Event.Stream"
  case operatorSnapshotSave = "Operator.SnapshotSave"
  case operatorSnapshotRestore = "Operator.SnapshotRestore"

  /// A nomadd extension: a server tells a nomadd client, over the client's own session, that the server list changed.
  case clientServersChanged = "Client.ServersChanged"

  /// A nomadd extension: nomadd servers agree on the first Raft configuration.
  case nomaddBootstrap = "Nomadd.Bootstrap"

  /// The `Service.Method` text.
  public var name: String { rawValue }

  /// Looks a name up by its bytes; `.unrecognized` when it is not in the list.
  public init(_ name: RawSpan) {
    self = RPCMethodTable.shared.find(name)
  }

  /// True when some method of this service is in the list. Decides between Go's two texts for unknown names.
  public static func hasService(_ service: RawSpan) -> Bool {
    for method in allCases {
      let name = method.name.utf8
      guard name.count > service.byteCount, service.byteCount > 0 else { continue }
      let prefix = Array(name.prefix(service.byteCount + 1))
      if prefix.last == UInt8(ascii: "."), prefix.bytes(0..<service.byteCount).equals(service) { return true }
    }
    return false
  }
}

/// An open-addressed table over the method names, so that dispatch costs one hash and one comparison.
private struct RPCMethodTable: Sendable {
  static let shared = RPCMethodTable()
  private static let slotCount = 512

  private var slots = [UInt8](repeating: 0, count: Self.slotCount)
  private var names: [[UInt8]] = []
  private let methods = RPCMethod.allCases

  init() {
    for (index, method) in methods.enumerated() {
      let name = Array(method.name.utf8)
      names.append(name)
      guard index > 0 else { continue }
      var slot = Self.hash(name.bytes)
      while slots[slot] != 0 { slot = (slot + 1) % Self.slotCount }
      slots[slot] = UInt8(index)
    }
  }

  func find(_ name: RawSpan) -> RPCMethod {
    var slot = Self.hash(name)
    while slots[slot] != 0 {
      let index = Int(slots[slot])
      let candidate = names[index]
      if candidate.bytes.equals(name) { return methods[index] }
      slot = (slot + 1) % Self.slotCount
    }
    return .unrecognized
  }

  private static func hash(_ bytes: RawSpan) -> Int {
    var value: UInt32 = 2_166_136_261
    for offset in 0..<min(bytes.byteCount, 64) { value = (value ^ UInt32(bytes.byte(at: offset))) &* 16_777_619 }
    return Int((value ^ value >> 16) % UInt32(slotCount))
  }
}
