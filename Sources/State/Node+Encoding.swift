import Base
import Wire

/// What of the optional parts of a list stub the caller wants (`Fields` of `Node.List`).
public struct NodeStubFields: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// `NodeResources` and `ReservedResources`.
  public static let resources = NodeStubFields(rawValue: 1)
  /// `Attributes` reduced to `os.name`, for newer callers.
  public static let os = NodeStubFields(rawValue: 2)
}

extension Node {
  /// Appends the complete encoded node: snapshot record and reply of `Node.GetNode`. Readers other than servers of the
  /// region get it with `blankingSecret`: an empty `SecretID` (rpc.md 5.2).
  public func pack(into out: inout [UInt8], blankingSecret: Bool) {
    let optional = (lastMissedHeartbeatIndex == nil ? 0 : 1) + (lastAllocUpdateIndex == nil ? 0 : 1)
    out.packMapHeader(pairCount + 8 + optional)
    packPairs(into: &out, blankingSecret: blankingSecret)
    out.pack("CreateIndex")
    out.pack(unsigned: createIndex)
    out.pack("DrainStrategy")
    out.pack(encoded: drainStrategy)
    out.pack("Events")
    events.pack(into: &out)
    out.pack("LastDrain")
    out.pack(encoded: lastDrain)
    out.pack("ModifyIndex")
    out.pack(unsigned: modifyIndex)
    out.pack("SchedulingEligibility")
    out.pack(eligibility)
    out.pack("Status")
    out.pack(status)
    out.pack("StatusUpdatedAt")
    out.pack(signed: statusUpdatedAt)
    if let lastMissedHeartbeatIndex {
      out.pack("LastMissedHeartbeatIndex")
      out.pack(unsigned: lastMissedHeartbeatIndex)
    }
    if let lastAllocUpdateIndex {
      out.pack("LastAllocUpdateIndex")
      out.pack(unsigned: lastAllocUpdateIndex)
    }
  }

  private func packPairs(into out: inout [UInt8], blankingSecret: Bool) {
    guard blankingSecret, slots.secretID != Slots.absent else { return out.append(contentsOf: pairs) }
    let start = Int(slots.secretID)
    var reader = MessagePackReader(pairs.bytes, at: start)
    do throws(WireError) { try reader.skip() } catch { return out.packNil() }
    out.append(contentsOf: pairs.bytes.extracting(0..<start))
    out.pack("")
    out.append(contentsOf: pairs.bytes.extracting(reader.offset..<pairs.count))
  }

  /// Appends the stub of `Node.List`: the 17 fields of Nomad 1.1, and `Attributes` and `NodePool` where the record or
  /// the caller has them, which older callers skip.
  public func packStub(into out: inout [UInt8], fields: NodeStubFields = []) {
    let hasPool = slots.nodePool != Slots.absent
    let os = fields.contains(.os) ? attribute("os.name") : nil
    out.packMapHeader(17 + (hasPool ? 1 : 0) + (os == nil ? 0 : 1))
    out.pack("Address")
    out.pack(address)
    if let os {
      out.pack("Attributes")
      out.packMapHeader(1)
      out.pack("os.name")
      out.pack(os)
    }
    out.pack("CreateIndex")
    out.pack(unsigned: createIndex)
    packText("Datacenter", slots.datacenter, into: &out)
    out.pack("Drain")
    out.pack(isDraining)
    out.pack("Drivers")
    pack(slots.drivers, into: &out)
    out.pack("HostVolumes")
    pack(slots.hostVolumes, into: &out)
    out.pack("ID")
    out.pack(id.description)
    out.pack("LastDrain")
    out.pack(encoded: lastDrain)
    out.pack("ModifyIndex")
    out.pack(unsigned: modifyIndex)
    packText("Name", slots.name, into: &out)
    packText("NodeClass", slots.nodeClass, into: &out)
    if hasPool { packText("NodePool", slots.nodePool, into: &out) }
    out.pack("NodeResources")
    pack(fields.contains(.resources) ? slots.nodeResources : Slots.absent, into: &out)
    out.pack("ReservedResources")
    pack(fields.contains(.resources) ? slots.reservedResources : Slots.absent, into: &out)
    out.pack("SchedulingEligibility")
    out.pack(eligibility)
    out.pack("Status")
    out.pack(status)
    packText("StatusDescription", slots.statusDescription, into: &out)
    packText("Version", slots.version, into: &out)
  }

  /// A text field goes out as the client encoded it, an absent one as the empty string.
  private func packText(_ key: StaticString, _ slot: UInt32, into out: inout [UInt8]) {
    out.pack(key)
    if slot == Slots.absent { out.pack("") } else { pack(slot, into: &out) }
  }
}
