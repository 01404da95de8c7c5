/// A record of Nomad's snapshot format that is kept as it came (raft.md 9.3).
public struct SnapshotRecord: Hashable, Sendable {
  public var type: UInt8
  /// One encoded value.
  public var encoded: [UInt8]

  static let node: UInt8 = 0
  static let index: UInt8 = 2
  /// When which index was reached; for collectors of Nomad's own.
  static let timeTable: UInt8 = 5
  static let scheduler: UInt8 = 13
  static let cluster: UInt8 = 14
  static let namespace: UInt8 = 64
}
