import Base

/// Payload of the key queries (gossip.md 6.2, type 7).
public enum SerfKeyRequest {
  static let fields: StructFields = ["Key"]

  /// `payload` includes the type byte. Throws `.malformed` for another type.
  public static func decode(_ payload: RawSpan) throws(WireError) -> [UInt8] {
    guard payload.byteCount > 0, payload.byte(at: 0) == SerfMessageKind.keyRequest.rawValue else { throw .malformed }
    var reader = MessagePackReader(payload, at: 1)
    var key: [UInt8] = []
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, fields) {
      case 0: key = try reader.readByteArray()
      default: try reader.skip()
      }
    }
    return key
  }

  public static func encode(key: [UInt8], into out: inout [UInt8]) {
    out.append(SerfMessageKind.keyRequest.rawValue)
    out.packMapHeader(1)
    out.pack("Key" as StaticString)
    out.pack(raw: key)
  }
}

/// Payload of the answers to key queries (gossip.md 6.2, type 8). Keys are text in standard base64.
public struct SerfKeyResponse: Hashable, Sendable {
  public var result: Bool
  public var message: String
  /// Primary first; `nil` when the query was not about the list.
  public var keys: [String]?
  public var primaryKey: String

  static let fields: StructFields = ["Result", "Message", "Keys", "PrimaryKey"]

  public init(result: Bool, message: String = "", keys: [String]? = nil, primaryKey: String = "") {
    self.result = result
    self.message = message
    self.keys = keys
    self.primaryKey = primaryKey
  }

  /// `payload` includes the type byte. Throws `.malformed` for another type.
  public init(_ payload: RawSpan) throws(WireError) {
    guard payload.byteCount > 0, payload.byte(at: 0) == SerfMessageKind.keyResponse.rawValue else { throw .malformed }
    self.init(result: false)
    var reader = MessagePackReader(payload, at: 1)
    let header = try reader.readStructHeader()
    for position in 0..<header.count {
      switch try reader.readField(header, position, Self.fields) {
      case 0: result = try reader.readBool()
      case 1: message = try reader.readString()
      case 2:
        var list: [String] = []
        for _ in 0..<(try reader.readArrayHeader()) { list.append(try reader.readString()) }
        keys = list
      case 3: primaryKey = try reader.readString()
      default: try reader.skip()
      }
    }
  }

  public func encode(into out: inout [UInt8]) {
    out.append(SerfMessageKind.keyResponse.rawValue)
    out.packMapHeader(4)
    out.pack("Keys" as StaticString)
    out.pack(keys)
    out.pack("Message" as StaticString)
    out.pack(message)
    out.pack("PrimaryKey" as StaticString)
    out.pack(primaryKey)
    out.pack("Result" as StaticString)
    out.pack(result)
  }
}
