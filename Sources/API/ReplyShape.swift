/// How a MessagePack value becomes JSON. Only what MessagePack does not tell by itself needs a shape: times, byte
/// strings, durations, and what a missing or nil value looks like.
indirect enum ReplyShape: Sendable {
  /// By its kind; nil is null. Maps are sorted by name, a raw value in Go's time form is a time.
  case any
  case string
  case bool
  case integer
  case float
  case time
  /// The zero time is null.
  case timeOrNull
  /// Bytes as base64; nil is null.
  case base64
  /// Nanoseconds shown as a Go duration text.
  case duration
  /// 4 or 16 bytes of an IP address shown as text.
  case address
  /// Serf's number of a member status shown as its word.
  case serfStatus
  /// Always the empty string, whatever came: secrets.
  case blank
  /// nil is null.
  case list(ReplyShape)
  /// nil is `[]`: lists that are the whole answer.
  case rows(ReplyShape)
  /// Names to values; nil is null.
  case map(ReplyShape)
  /// A Go struct: every field is present, in ascending order of names; nil gives all zero values. Fields that the table
  /// does not know are shown as `any` unless nil.
  case structure(Fields)
  /// nil is null.
  case optional(ReplyShape)

  struct Field: Sendable {
    let name: String
    let utf8: [UInt8]
    let shape: ReplyShape
    /// Not shown at all when it is missing or nil.
    let omitsNil: Bool
  }

  struct Fields: Sendable {
    let sorted: [Field]
  }

  /// A structure from its table; the order of the table does not matter.
  static func fields(_ fields: KeyValuePairs<String, ReplyShape>, omittingNil omitted: Set<String> = []) -> ReplyShape {
    let list = fields.map {
      Field(name: $0.key, utf8: Array($0.key.utf8), shape: $0.value, omitsNil: omitted.contains($0.key))
    }
    return .structure(Fields(sorted: list.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }))
  }
}
