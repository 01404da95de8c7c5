import Base

/// One entry of the replicated log (raft.md 2.1, 4.1).
public struct LogEntry: Hashable, Sendable {
  /// What an entry is. Unknown kinds are kept as they are: they are stored and replicated, never interpreted.
  public struct Kind: Hashable, Sendable {
    public let value: UInt8
    public init(_ value: UInt8) { self.value = value }

    /// A message for the replicated state.
    public static let command = Kind(0)
    /// First entry of every leader.
    public static let noop = Kind(1)
    /// Deprecated: the complete set of peers, as addresses.
    public static let addPeer = Kind(2)
    /// Deprecated, but still what a protocol 2 bootstrap writes: the complete new set of peers, as addresses.
    public static let removePeer = Kind(3)
    public static let barrier = Kind(4)
    public static let configuration = Kind(5)

    /// One of the above. What another kind does to the replicated state, nobody here can say.
    public var isKnown: Bool { value <= Self.configuration.value }

    /// The entry replaces the configuration.
    public var isConfiguration: Bool { self == .configuration || self == .addPeer || self == .removePeer }
  }

  public var index: LogIndex
  public var term: Term
  public var kind: Kind
  /// Empty is sent as nil.
  public var data: [UInt8]
  public var extensions: [UInt8]

  public init(index: LogIndex, term: Term, kind: Kind, data: [UInt8] = [], extensions: [UInt8] = []) {
    self.index = index
    self.term = term
    self.kind = kind
    self.data = data
    self.extensions = extensions
  }

  /// What the entry adds to a request, roughly; used to bound batches.
  public var wireBytes: Int { data.count + extensions.count + Self.overheadBytes }

  static let overheadBytes = 64
}

extension LogEntry {
  /// Unknown keys are skipped, the time `AppendedAt` of newer leaders among them: it is informational.
  init(decoding reader: inout MessagePackReader) throws(WireError) {
    self.init(index: 0, term: 0, kind: .command)
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Index": index = try reader.readIndex()
      case "Term": term = try reader.readTerm()
      case "Type": kind = Kind(try reader.readInteger(as: UInt8.self))
      case "Data": data = try reader.readByteArray()
      case "Extensions": extensions = try reader.readByteArray()
      default: try reader.skip()
      }
    }
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(5)
    out.pack("Data" as StaticString)
    if data.isEmpty { out.packNil() } else { out.pack(raw: data) }
    out.pack("Extensions" as StaticString)
    if extensions.isEmpty { out.packNil() } else { out.pack(raw: extensions) }
    out.pack("Index", index)
    out.pack("Term", term)
    out.pack("Type" as StaticString)
    out.pack(signed: Int64(kind.value))
  }
}
