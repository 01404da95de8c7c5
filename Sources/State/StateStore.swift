import Base
import Wire

/// The replicated state of a region, as a value: equal logs give equal states on every server.
///
/// Calling order: `apply` each committed command entry once, in log order; any query in between. `apply` is total: it
/// never traps, reads no clock and draws nothing at random; what cannot be right gives an error result, the same
/// everywhere. Copies share their records, so a copy taken for a snapshot is cheap.
public struct StateStore: Hashable, Sendable {
  /// Index of the last entry applied or of the snapshot restored.
  public internal(set) var lastIndex: UInt64 = 0
  var nodes = NodeTable()
  var indexes = TableIndexes()
  var namespaces = NamespaceTable()
  /// Nil until the first leader has written it.
  public internal(set) var autopilot: AutopilotConfiguration?
  /// Nil until the first leader has written it.
  public internal(set) var scheduler: SchedulerConfiguration?
  /// Nil until the first leader has written it.
  public internal(set) var cluster: ClusterMetadata?
  /// Records of a restored snapshot that this store does not model, in their order, given back in the next snapshot.
  var foreignRecords: [SnapshotRecord] = []
  /// True when one of them is more than the table of times that every older snapshot has.
  var hasForeignRecords = false
  /// Log entries whose effect this store could not model. While it is 0 a snapshot of this state is complete.
  public internal(set) var foreignEntries: UInt64 = 0

  /// The state before the first entry; it holds the namespace `default`.
  public init() {}

  /// True when the region runs workloads, or uses tables, that this store does not model (a mixed region with a leader
  /// of Nomad's own). Allocation queries must then go to the leader: an empty answer would make clients stop their
  /// work.
  public var hasForeignData: Bool { foreignEntries > 0 || hasForeignRecords }

  /// False when a snapshot of this state would lack data; the log must then not be compacted (raft.md 11, item 9).
  public var canSnapshot: Bool { foreignEntries == 0 }

  /// Applies the data of one command entry. Wakes the waiters of what changed.
  @discardableResult
  public mutating func apply(index: UInt64, _ data: RawSpan, waking watches: inout WatchTable) -> ApplyResult {
    lastIndex = max(lastIndex, index)
    guard data.byteCount > 0 else { return .failed(.undecodable(.truncated)) }
    let first = data.byte(at: 0)
    let body = data.extracting(1..<data.byteCount)
    let type = MessageType(rawValue: first & ~MessageType.ignoreUnknownFlag)
    do throws(ApplyError) {
      var change = Change(index: index)
      let result = try apply(type, body, &change)
      if let result {
        change.wake(&watches)
        return result
      }
      return applyForeign(type, mayIgnore: first != type.rawValue)
    } catch {
      return .failed(error)
    }
  }

  /// Nil: not a type that this store models. Throws before anything is changed.
  private mutating func apply(
    _ type: MessageType, _ body: RawSpan, _ change: inout Change
  ) throws(ApplyError) -> ApplyResult? {
    switch type {
    case .nodeRegister: try registerNode(body, &change)
    case .nodeDeregister: try deregisterNode(body, &change)
    case .nodeBatchDeregister: try deregisterNodes(body, &change)
    case .nodeUpdateStatus: try updateStatus(body, &change)
    case .nodeUpdateDrain: try updateDrain(body, &change)
    case .batchNodeUpdateDrain: try updateDrains(body, &change)
    case .nodeUpdateEligibility: try updateEligibility(body, &change)
    case .upsertNodeEvents: try upsertEvents(body, &change)
    case .autopilot: return .checked(try applyAutopilot(body, &change))
    case .schedulerConfiguration: return .checked(try applyScheduler(body, &change))
    case .clusterMetadata: try applyClusterMetadata(body)
    case .namespaceUpsert: try upsertNamespaces(body, &change)
    case .namespaceDelete: try deleteNamespaces(body, &change)
    default: return nil
    }
    return .done
  }

  private mutating func applyForeign(_ type: MessageType, mayIgnore: Bool) -> ApplyResult {
    switch type.foreign {
    case .noEffect:
      return .done
    case .shrinks:
      if hasForeignData { foreignEntries &+= 1 }
      return .done
    case .grows:
      foreignEntries &+= 1
      return .foreign
    case .unknown:
      // The flag says that whoever does not know the message loses nothing that matters.
      if mayIgnore { return .done }
      foreignEntries &+= 1
      return .failed(.unknownMessage(type.rawValue))
    }
  }

  /// Counts a log entry of a kind that nobody here knows: what it means may be missing in this state.
  public mutating func countForeignEntry() { foreignEntries &+= 1 }

  /// What one entry changed, gathered while it is applied.
  struct Change {
    let index: UInt64
    private var topics: [WatchTopic] = []

    init(index: UInt64) { self.index = index }

    mutating func touch(_ topic: WatchTopic) { topics.append(topic) }

    mutating func touchNode(_ id: NodeID) {
      topics.append(.node(id))
      topics.append(.nodes)
    }

    func wake(_ watches: inout WatchTable) {
      for topic in topics { watches.wake(topic) }
    }
  }
}

/// What applying an entry gave, the same on every server; the proposer answers its caller with it.
public enum ApplyResult: Hashable, Sendable {
  case done
  /// Outcome of a check-and-set; true for an unconditional write.
  case checked(Bool)
  /// A known message of a table that this store does not model: counted, otherwise ignored.
  case foreign
  case failed(ApplyError)
}

/// Why an entry had no effect.
public enum ApplyError: Error, Hashable, Sendable {
  case undecodable(WireError)
  case unknownMessage(UInt8)
  case nodeNotFound
  case invalidNodeID(NodeIDError)
  case missingNodeIDs
  case eligibleWhileDraining
  case defaultNamespace

  /// As Nomad words it where it has a text.
  public var text: String {
    switch self {
    case .undecodable(let error): "failed to decode request: \(error)"
    case .unknownMessage(let type): "failed to apply request: unknown message type \(type)"
    case .nodeNotFound: "node not found"
    case .invalidNodeID(let error): error.text
    case .missingNodeIDs: "node ids missing"
    case .eligibleWhileDraining:
      "can not set node's scheduling eligibility to eligible while it is draining"
    case .defaultNamespace: "default namespace can not be deleted"
    }
  }

  /// Runs a decoder.
  static func decoding<T>(_ body: () throws(WireError) -> T) throws(ApplyError) -> T {
    do throws(WireError) { return try body() } catch { throw .undecodable(error) }
  }
}

/// Last index at which each table changed, ordered by name.
struct TableIndexes: Hashable, Sendable {
  struct Row: Hashable, Sendable {
    var key: String
    var value: UInt64
  }

  static let nodes = "nodes"
  static let csiPlugins = "csi_plugins"
  static let namespaces = "namespaces"

  /// The namespace `default` exists before the first entry.
  private(set) var rows = [Row(key: namespaces, value: 1)]

  subscript(key: String) -> UInt64 {
    get { rows.first { $0.key == key }?.value ?? 0 }
    set {
      let position = rows.firstIndex { $0.key >= key } ?? rows.count
      if position < rows.count, rows[position].key == key {
        rows[position].value = newValue
      } else {
        rows.insert(Row(key: key, value: newValue), at: position)
      }
    }
  }
}
