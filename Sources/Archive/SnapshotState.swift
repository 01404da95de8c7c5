import Base
import HTTP
import Wire

/// The records of a snapshot's state as JSON, for people: what is in there, without a server (raft.md 9.3). Every
/// record type is shown, also those that this project does not model.
public struct SnapshotState {
  /// The records of one type, under the name of their table.
  public struct Table {
    public var name: String
    public var rows: [JSONValue]
  }

  /// In the order in which the tables first appear.
  public private(set) var tables: [Table] = []
  /// Members of the header object; empty in snapshots of the original.
  public private(set) var header: JSONValue = .object(JSONObject())

  public enum Failure: Error, Hashable, Sendable {
    case malformed(at: Int)

    public var text: String {
      switch self {
      case .malformed(let offset): "the state is malformed at byte \(offset)"
      }
    }
  }

  /// By record type.
  static let names: [UInt8: String] = [
    0: "Nodes", 1: "Jobs", 2: "Indexes", 3: "Evals", 4: "Allocs", 5: "TimeTable", 6: "PeriodicLaunches",
    7: "JobSummaries", 8: "VaultAccessors", 9: "JobVersions", 10: "Deployments", 11: "ACLPolicies", 12: "ACLTokens",
    13: "SchedulerConfig", 14: "ClusterMetadata", 15: "SITokenAccessors", 16: "ScalingPolicies", 17: "CSIPlugins",
    18: "CSIVolumes", 19: "ScalingEvents", 20: "EventSinks", 21: "ServiceRegistrations", 22: "Variables",
    23: "VariablesQuotas", 24: "RootKeyMeta", 25: "ACLRoles", 26: "ACLAuthMethods", 27: "ACLBindingRules",
    28: "NodePools", 29: "JobSubmissions", 30: "RootKeys", 31: "HostVolumes", 64: "Namespaces",
  ]

  /// Secrets stay out: what is printed is pasted into tickets.
  static let secrets: Set<String> = ["SecretID", "Secret", "LeaderACL"]
  static let hidden = JSONValue.string("<hidden>")

  public init(decoding state: [UInt8]) throws(Failure) {
    var reader = MessagePackReader(state.bytes)
    do throws(WireError) {
      header = try Self.value(&reader, depth: 0)
      while !reader.isAtEnd {
        let type = state[reader.offset]
        reader = MessagePackReader(state.bytes, at: reader.offset + 1)
        let row = try Self.value(&reader, depth: 0)
        let name = Self.names[type] ?? "Type\(type)"
        if let position = tables.firstIndex(where: { $0.name == name }) {
          tables[position].rows.append(row)
        } else {
          tables.append(Table(name: name, rows: [row]))
        }
      }
    } catch {
      throw .malformed(at: reader.offset)
    }
  }

  /// One object: the archive's description, the header if it says anything, and the tables.
  public func json(of metadata: SnapshotArchiveMetadata) -> JSONValue {
    var result = JSONObject()
    result["SnapshotMeta"] = [
      "ID": .string(metadata.id), "Index": .unsigned(metadata.index.value), "Term": .unsigned(metadata.term.value),
      "Version": .integer(metadata.version), "Size": .integer(Int64(metadata.size)),
      "ConfigurationIndex": .unsigned(metadata.configurationIndex.value),
      "Configuration": .array(
        metadata.configuration.servers.map { server in
          ["ID": .string(server.id), "Address": .string(server.address), "Suffrage": .string("\(server.suffrage)")]
        }),
    ]
    if header.object?.members.isEmpty == false { result["Header"] = header }
    for table in tables { result[table.name] = .array(table.rows) }
    return .object(result)
  }

  // MARK: Values

  private static func value(_ reader: inout MessagePackReader, depth: Int) throws(WireError) -> JSONValue {
    guard depth < MessagePack.maximumDepth else { throw .malformed }
    switch try reader.peekKind() {
    case .nil:
      _ = try reader.readNil()
      return .null
    case .bool: return .bool(try reader.readBool())
    case .float: return .number(try reader.readDouble())
    case .integer:
      let value = try reader.readInteger(as: Int128.self)
      return Int64(exactly: value).map(JSONValue.integer) ?? .unsigned(UInt64(clamping: value))
    case .ext: return .string(try reader.readGoTime().text)
    case .raw: return text(try reader.readRaw())
    case .array:
      var elements: [JSONValue] = []
      for _ in 0..<(try reader.readArrayHeader()) { elements.append(try value(&reader, depth: depth + 1)) }
      return .array(elements)
    case .map:
      var members: [JSONObject.Member] = []
      for _ in 0..<(try reader.readMapHeader()) {
        let name = try key(&reader)
        let member = try value(&reader, depth: depth + 1)
        let isSecret = secrets.contains(name) && member != .null && member != .string("")
        members.append(JSONObject.Member(name: name, value: isSecret ? hidden : member))
      }
      return .object(JSONObject(members: members))
    }
  }

  /// Keys of Go's maps may be numbers.
  private static func key(_ reader: inout MessagePackReader) throws(WireError) -> String {
    if try reader.peekKind() == .integer { return "\(try reader.readInteger(as: Int64.self))" }
    return try reader.readString()
  }

  /// A time where it has the form of one, text where it is text, base64 otherwise.
  private static func text(_ raw: RawSpan) -> JSONValue {
    if raw.byteCount == 15, raw.byte(at: 0) == 1 {
      let time = GoTime(
        seconds: Int64(bitPattern: raw.uint64(at: 1)), nanoseconds: raw.uint32(at: 9),
        zoneMinutes: Int16(bitPattern: raw.uint16(at: 13)))
      return .string(time.text)
    }
    let bytes = raw.copy()
    if let text = String(validating: bytes, as: UTF8.self) { return .string(text) }
    return .string(Base64.encode(bytes.borrowedBytes))
  }
}

extension GoTime {
  /// RFC 3339 in UTC, to the second.
  fileprivate var text: String {
    let days = seconds.quotientAndRemainder(dividingBy: 86_400)
    guard seconds >= 0, days.quotient < 4_000_000 else { return "\(unixSeconds)" }
    // Days since 0000-03-01; the year begins in March, so that the leap day is its last (Hinnant, civil_from_days).
    let shifted = Int(days.quotient) + 306
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let march = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * march + 2) / 5 + 1
    let month = march < 10 ? march + 3 : march - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let rest = Int(days.remainder)
    func two(_ value: Int) -> String { (value < 10 ? "0" : "") + "\(value)" }
    let zeros = String(repeating: "0", count: max(0, 4 - "\(year)".count))
    return "\(zeros)\(year)-\(two(month))-\(two(day))T\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))Z"
  }
}
