import Base
import Wire

/// Encoders of the log entries that a leader makes itself (raft.md 7.3): the type byte and the body, keys sorted.
///
/// Requests of clients and operators become entries through `StateStore.prepare...`, which keep unknown fields.
/// Everything that must be equal on all servers, time included, is in the arguments.
public enum StateMessage {
  /// Type 0. `node` is one encoded node map.
  public static func nodeRegister(node: RawSpan, write: WriteRequest) -> [UInt8] {
    message(.nodeRegister, pairs: 2 + write.fieldCount) { out in
      packOptions(write, into: &out)
      out.pack("Node")
      out.append(contentsOf: node)
      out.pack("NodeEvent")
      out.packNil()
      packRegion(write, into: &out)
    }
  }

  /// Type 1.
  public static func nodeDeregister(nodeID: NodeID, write: WriteRequest) -> [UInt8] {
    message(.nodeDeregister, pairs: 1 + write.fieldCount) { out in
      packOptions(write, into: &out)
      out.pack("NodeID")
      out.pack(nodeID.description)
      packRegion(write, into: &out)
    }
  }

  /// Type 31.
  public static func nodeBatchDeregister(nodeIDs: [NodeID], write: WriteRequest) -> [UInt8] {
    message(.nodeBatchDeregister, pairs: 1 + write.fieldCount) { out in
      packOptions(write, into: &out)
      out.pack("NodeIDs")
      out.packArrayHeader(nodeIDs.count)
      for id in nodeIDs { out.pack(id.description) }
      packRegion(write, into: &out)
    }
  }

  /// Type 2. `updatedAt` is in Unix seconds.
  public static func nodeUpdateStatus(
    nodeID: NodeID, status: String, updatedAt: Int64, event: NodeEvent?, write: WriteRequest
  ) -> [UInt8] {
    message(.nodeUpdateStatus, pairs: 4 + write.fieldCount) { out in
      packOptions(write, into: &out)
      packEvent(event, into: &out)
      out.pack("NodeID")
      out.pack(nodeID.description)
      packRegion(write, into: &out)
      out.pack("Status")
      out.pack(status)
      out.pack("UpdatedAt")
      out.pack(signed: updatedAt)
    }
  }

  /// Type 2 as the leader writes it when a heartbeat timer fires.
  public static func heartbeatMissed(nodeID: NodeID, at time: WallTime, write: WriteRequest) -> [UInt8] {
    nodeUpdateStatus(
      nodeID: nodeID, status: Node.down, updatedAt: time.unixSeconds,
      event: NodeEvent(NodeEvent.heartbeatMissed, at: time), write: write)
  }

  /// Type 28. `updatedAt` is in Unix seconds.
  public static func nodeUpdateEligibility(
    nodeID: NodeID, eligibility: String, updatedAt: Int64, event: NodeEvent?, write: WriteRequest
  ) -> [UInt8] {
    message(.nodeUpdateEligibility, pairs: 4 + write.fieldCount) { out in
      out.pack("AuthToken")
      out.pack(write.authToken)
      out.pack("Eligibility")
      out.pack(eligibility)
      out.pack("Forwarded")
      out.pack(write.forwarded)
      packIdempotency(write, into: &out)
      out.pack("Namespace")
      out.pack(write.namespace)
      packEvent(event, into: &out)
      out.pack("NodeID")
      out.pack(nodeID.description)
      packRegion(write, into: &out)
      out.pack("UpdatedAt")
      out.pack(signed: updatedAt)
    }
  }

  /// Type 3. `updatedAt` is in Unix seconds; a nil strategy ends the drain.
  public static func nodeUpdateDrain(
    nodeID: NodeID, strategy: DrainStrategy?, markEligible: Bool, updatedAt: Int64, event: NodeEvent?,
    write: WriteRequest
  ) -> [UInt8] {
    message(.nodeUpdateDrain, pairs: 6 + write.fieldCount) { out in
      out.pack("AuthToken")
      out.pack(write.authToken)
      out.pack("DrainStrategy")
      if let strategy { strategy.pack(into: &out) } else { out.packNil() }
      out.pack("Forwarded")
      out.pack(write.forwarded)
      packIdempotency(write, into: &out)
      out.pack("MarkEligible")
      out.pack(markEligible)
      out.pack("Meta")
      out.packMapHeader(0)
      out.pack("Namespace")
      out.pack(write.namespace)
      packEvent(event, into: &out)
      out.pack("NodeID")
      out.pack(nodeID.description)
      packRegion(write, into: &out)
      out.pack("UpdatedAt")
      out.pack(signed: updatedAt)
    }
  }

  /// Type 29: drains that have nothing left to move are over.
  public static func drainsComplete(nodeIDs: [NodeID], at time: WallTime, write: WriteRequest) -> [UInt8] {
    message(.batchNodeUpdateDrain, pairs: 3 + write.fieldCount) { out in
      packOptions(write, into: &out)
      out.pack("NodeEvents")
      out.packMapHeader(nodeIDs.count)
      for id in nodeIDs {
        out.pack(id.description)
        NodeEvent(NodeEvent.drainComplete, subsystem: NodeEvent.drain, at: time).pack(into: &out)
      }
      packRegion(write, into: &out)
      out.pack("UpdatedAt")
      out.pack(signed: time.unixSeconds)
      out.pack("Updates")
      out.packMapHeader(nodeIDs.count)
      for id in nodeIDs {
        out.pack(id.description)
        out.packMapHeader(2)
        out.pack("DrainStrategy")
        out.packNil()
        out.pack("MarkEligible")
        out.pack(false)
      }
    }
  }

  /// Type 25.
  public static func upsertNodeEvents(_ events: [NodeID: [NodeEvent]], write: WriteRequest) -> [UInt8] {
    message(.upsertNodeEvents, pairs: 1 + write.fieldCount) { out in
      packOptions(write, into: &out)
      out.pack("NodeEvents")
      out.packMapHeader(events.count)
      for (id, list) in events.sorted(by: { $0.key < $1.key }) {
        out.pack(id.description)
        out.packArrayHeader(list.count)
        for event in list { event.pack(into: &out) }
      }
      packRegion(write, into: &out)
    }
  }

  /// Type 24. With `checked` the stored `ModifyIndex` must equal the configuration's.
  public static func autopilot(_ value: AutopilotConfiguration, checked: Bool, write: WriteRequest) -> [UInt8] {
    message(.autopilot, pairs: 3 + write.fieldCount) { out in
      out.pack("AuthToken")
      out.pack(write.authToken)
      out.pack("CAS")
      out.pack(checked)
      out.pack("Config")
      value.pack(into: &out)
      out.pack("Datacenter")
      out.pack("")
      out.pack("Forwarded")
      out.pack(write.forwarded)
      packIdempotency(write, into: &out)
      out.pack("Namespace")
      out.pack(write.namespace)
      packRegion(write, into: &out)
    }
  }

  /// Type 30. With `checked` the stored `ModifyIndex` must equal the configuration's.
  public static func scheduler(_ value: SchedulerConfiguration, checked: Bool, write: WriteRequest) -> [UInt8] {
    message(.schedulerConfiguration, pairs: 2 + write.fieldCount) { out in
      out.pack("AuthToken")
      out.pack(write.authToken)
      out.pack("CAS")
      out.pack(checked)
      out.pack("Config")
      value.pack(into: &out)
      out.pack("Forwarded")
      out.pack(write.forwarded)
      packIdempotency(write, into: &out)
      out.pack("Namespace")
      out.pack(write.namespace)
      packRegion(write, into: &out)
    }
  }

  /// Type 32, which has no write options.
  public static func clusterMetadata(_ value: ClusterMetadata) -> [UInt8] {
    var out: [UInt8] = [MessageType.clusterMetadata.rawValue]
    value.pack(into: &out)
    return out
  }

  // MARK: Parts

  static func message(_ type: MessageType, pairs: Int, _ body: (inout [UInt8]) -> Void) -> [UInt8] {
    var out: [UInt8] = [type.rawValue]
    out.packMapHeader(pairs)
    body(&out)
    return out
  }

  /// The write options that sort before every key from `Node` on; the region follows separately.
  private static func packOptions(_ write: WriteRequest, into out: inout [UInt8]) {
    out.pack("AuthToken")
    out.pack(write.authToken)
    out.pack("Forwarded")
    out.pack(write.forwarded)
    packIdempotency(write, into: &out)
    out.pack("Namespace")
    out.pack(write.namespace)
  }

  private static func packIdempotency(_ write: WriteRequest, into out: inout [UInt8]) {
    guard !write.idempotencyToken.isEmpty else { return }
    out.pack("IdempotencyToken")
    out.pack(write.idempotencyToken)
  }

  private static func packRegion(_ write: WriteRequest, into out: inout [UInt8]) {
    out.pack("Region")
    out.pack(write.region)
  }

  private static func packEvent(_ event: NodeEvent?, into out: inout [UInt8]) {
    out.pack("NodeEvent")
    if let event { event.pack(into: &out) } else { out.packNil() }
  }
}

/// How a node is drained, with the times that the leader has set.
public struct DrainStrategy: Hashable, Sendable {
  /// Above zero relative to the start, zero for no deadline, below zero to force at once.
  public var deadline: Interval
  public var ignoreSystemJobs: Bool
  public var forceDeadline = GoTime.zero
  public var startedAt = GoTime.zero

  public init(deadline: Interval, ignoreSystemJobs: Bool) {
    self.deadline = deadline
    self.ignoreSystemJobs = ignoreSystemJobs
  }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    deadline = .zero
    ignoreSystemJobs = false
    try reader.readPairs { key, values throws(WireError) in
      switch key {
      case "Deadline": deadline = Interval(nanoseconds: try values.readInt64())
      case "IgnoreSystemJobs": ignoreSystemJobs = try values.readBool()
      case "ForceDeadline": forceDeadline = try values.readGoTime()
      case "StartedAt": startedAt = try values.readGoTime()
      default: try values.skip()
      }
    }
  }

  public func pack(into out: inout [UInt8]) {
    out.packMapHeader(4)
    out.pack("Deadline")
    out.pack(deadline)
    out.pack("ForceDeadline")
    out.pack(forceDeadline)
    out.pack("IgnoreSystemJobs")
    out.pack(ignoreSystemJobs)
    out.pack("StartedAt")
    out.pack(startedAt)
  }
}
