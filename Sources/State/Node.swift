import Base
import Wire

/// The record of one client node.
///
/// What the client sent is kept once, as its encoded pairs, fields of any version included; only what the store itself
/// changes (status, eligibility, drain, events, indexes) is decoded and written back by the encoders. A record costs
/// about 350 bytes beside its encoded form.
public struct Node: Hashable, Sendable {
  public let id: NodeID
  /// Encoded pairs, without a map header and without the fields below.
  let pairs: [UInt8]
  let pairCount: Int
  /// Where in `pairs` the values lie that queries read.
  let slots: Slots

  public internal(set) var status: String
  /// Unix seconds.
  public internal(set) var statusUpdatedAt: Int64
  /// `eligible` or `ineligible`.
  public internal(set) var eligibility: String
  public internal(set) var createIndex: UInt64
  public internal(set) var modifyIndex: UInt64
  /// Encoded `DrainStrategy`; nil when the node is not draining.
  public internal(set) var drainStrategy: [UInt8]?
  /// Encoded `LastDrain`.
  public internal(set) var lastDrain: [UInt8]?
  var events: NodeEventList
  /// Fields of newer versions that survive a registration; nil when the record never had them.
  var lastMissedHeartbeatIndex: UInt64?
  var lastAllocUpdateIndex: UInt64?

  /// Offsets of values in `pairs`; `Slots.absent` when the client did not send the field.
  struct Slots: Hashable, Sendable {
    static let absent: UInt32 = .max
    var secretID = absent
    var name = absent
    var datacenter = absent
    var nodeClass = absent
    var nodePool = absent
    var httpAddress = absent
    var statusDescription = absent
    var computedClass = absent
    var attributes = absent
    var version = absent
    var drivers = absent
    var hostVolumes = absent
    var nodeResources = absent
    var reservedResources = absent
    var meta = absent
  }

  public var isDraining: Bool { drainStrategy != nil }
  public var secretID: String { text(slots.secretID) }
  public var name: String { text(slots.name) }
  public var datacenter: String { text(slots.datacenter) }
  public var nodeClass: String { text(slots.nodeClass) }
  /// Empty for clients older than node pools.
  public var nodePool: String { text(slots.nodePool) }
  /// `ip:port` of the client's HTTP interface.
  public var httpAddress: String { text(slots.httpAddress) }
  public var statusDescription: String { text(slots.statusDescription) }
  public var computedClass: String { text(slots.computedClass) }
  /// The attribute `nomad.version`.
  public var version: String { text(slots.version) }

  /// Host part of `httpAddress`, without brackets: the `Address` of a list stub.
  public var address: String {
    let whole = httpAddress
    guard let colon = whole.lastIndex(of: ":") else { return whole }
    let host = whole[..<colon]
    return host.first == "[" && host.last == "]" ? String(host.dropFirst().dropLast()) : String(host)
  }

  /// One attribute by name; O(number of attributes).
  public func attribute(_ name: String) -> String? {
    guard slots.attributes != Slots.absent else { return nil }
    var reader = MessagePackReader(pairs.bytes, at: Int(slots.attributes))
    let wanted = Array(name.utf8)
    var found: String?
    do throws(WireError) {
      try reader.readPairs { key, values throws(WireError) in
        if key.equals(wanted.bytes) { found = try values.readString() } else { try values.skip() }
      }
    } catch {
      return nil  // The decoder saw the map; a value that is no string counts as absent.
    }
    return found
  }

  private func text(_ slot: UInt32) -> String {
    guard slot != Slots.absent else { return "" }
    var reader = MessagePackReader(pairs.bytes, at: Int(slot))
    do throws(WireError) { return try reader.readString() } catch { return "" }
  }

  /// The encoded value at `slot`, or nil when it is absent.
  func pack(_ slot: UInt32, into out: inout [UInt8]) {
    guard slot != Slots.absent else { return out.packNil() }
    var reader = MessagePackReader(pairs.bytes, at: Int(slot))
    do throws(WireError) { out.append(contentsOf: try reader.skip()) } catch { out.packNil() }
  }
}

extension Node {
  public static let ready = "ready"
  public static let down = "down"
  public static let initializing = "initializing"
  public static let disconnected = "disconnected"
  public static let eligible = "eligible"
  public static let ineligible = "ineligible"
}
