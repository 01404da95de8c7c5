/// First byte of a log entry's data (raft.md 7.2).
public struct MessageType: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let nodeRegister = MessageType(rawValue: 0)
  public static let nodeDeregister = MessageType(rawValue: 1)
  public static let nodeUpdateStatus = MessageType(rawValue: 2)
  public static let nodeUpdateDrain = MessageType(rawValue: 3)
  public static let autopilot = MessageType(rawValue: 24)
  public static let upsertNodeEvents = MessageType(rawValue: 25)
  public static let nodeUpdateEligibility = MessageType(rawValue: 28)
  public static let batchNodeUpdateDrain = MessageType(rawValue: 29)
  public static let schedulerConfiguration = MessageType(rawValue: 30)
  public static let nodeBatchDeregister = MessageType(rawValue: 31)
  public static let clusterMetadata = MessageType(rawValue: 32)
  public static let namespaceUpsert = MessageType(rawValue: 64)
  public static let namespaceDelete = MessageType(rawValue: 65)

  /// "Ignore if unknown": masked off before a type is looked at.
  public static let ignoreUnknownFlag: UInt8 = 0x80

  /// What the store does with a type that it does not model.
  enum Foreign {
    /// Leaves no trace in any state: withdrawn messages.
    case noEffect
    /// Changes or deletes records of tables that this store does not model: no effect while there are none.
    case shrinks
    /// Adds records that this store cannot hold.
    case grows
    case unknown
  }

  /// Precondition: not one of the named types above.
  var foreign: Foreign {
    switch rawValue {
    case 41...43, 127: .noEffect
    // Deletions, expiry, and the summary rebuild of "system reconcile summaries".
    case 5, 7, 10, 12, 17, 20, 22, 26, 34, 36, 40, 45, 46, 48, 49, 52, 54, 56, 58, 60, 76, 77: .shrinks
    case 4, 6, 8, 9, 11, 13...16, 18, 19, 21, 23, 27, 33, 35, 37...39, 44, 47, 50, 51, 53, 55, 57, 59, 61...63,
      66...75:
      .grows
    default: .unknown
    }
  }
}
