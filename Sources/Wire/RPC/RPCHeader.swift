import Base

/// The first object of a request: `{Seq, ServiceMethod}` (rpc.md section 3.1). The method's text stays where it is in
/// the caller's bytes; the header names it by range.
public struct RPCRequestHeader: Hashable, Sendable {
  public var sequence: UInt64 = 0
  /// Where the `Service.Method` text lies in the decoded bytes.
  public var method: Range<Int> = 0..<0

  /// Decodes in any key order; unknown keys are stepped over and missing ones keep zero, as Go does.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      switch key {
      case "Seq": sequence = try reader.readUInt64()
      case "ServiceMethod":
        let text = try reader.readRaw()
        method = (reader.offset - text.byteCount)..<reader.offset
      default: try reader.skip()
      }
    }
  }

  /// Appends a header. `method` is a `Service.Method` name.
  public static func encode(method: String, sequence: UInt64, into bytes: inout [UInt8]) {
    bytes.packMapHeader(2)
    bytes.pack("Seq" as StaticString)
    bytes.pack(unsigned: sequence)
    bytes.pack("ServiceMethod" as StaticString)
    bytes.pack(method)
  }
}

/// The first object of a response: `{Error, Seq, ServiceMethod}`. An empty error means success; a body always follows.
public struct RPCResponseHeader: Hashable, Sendable {
  public var sequence: UInt64 = 0
  /// Where the error text lies in the decoded bytes; empty on success.
  public var error: Range<Int> = 0..<0
  public var method: Range<Int> = 0..<0

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      switch key {
      case "Seq": sequence = try reader.readUInt64()
      case "Error":
        let text = try reader.readRaw()
        error = (reader.offset - text.byteCount)..<reader.offset
      case "ServiceMethod":
        let text = try reader.readRaw()
        method = (reader.offset - text.byteCount)..<reader.offset
      default: try reader.skip()
      }
    }
  }

  /// Appends a header that echoes the request's method and sequence.
  public static func encode(method: String, sequence: UInt64, error: String = "", into bytes: inout [UInt8]) {
    encodeError(error, sequence: sequence, into: &bytes)
    bytes.pack(method)
  }

  /// The same for a method name that is kept as foreign bytes.
  public static func encode(method: [UInt8], sequence: UInt64, error: String = "", into bytes: inout [UInt8]) {
    encodeError(error, sequence: sequence, into: &bytes)
    bytes.pack(raw: method)
  }

  private static func encodeError(_ error: String, sequence: UInt64, into bytes: inout [UInt8]) {
    bytes.packMapHeader(3)
    bytes.pack("Error" as StaticString)
    bytes.pack(error)
    bytes.pack("Seq" as StaticString)
    bytes.pack(unsigned: sequence)
    bytes.pack("ServiceMethod" as StaticString)
  }
}

/// The two objects that open a streaming RPC (rpc.md section 9): `{Method}` from the caller, `{Error}` as the answer.
public enum StreamingHeader {
  public static func encode(method: String, into bytes: inout [UInt8]) {
    bytes.packMapHeader(1)
    bytes.pack("Method" as StaticString)
    bytes.pack(method)
  }

  /// The range of the method's text in the reader's bytes.
  public static func decodeMethod(_ reader: inout MessagePackReader) throws(WireError) -> Range<Int> {
    try decodeText("Method", &reader)
  }

  /// An empty error accepts the stream.
  public static func encodeAnswer(error: String, into bytes: inout [UInt8]) {
    bytes.packMapHeader(1)
    bytes.pack("Error" as StaticString)
    bytes.pack(error)
  }

  /// The range of the error text in the reader's bytes; empty when the stream was accepted.
  public static func decodeAnswer(_ reader: inout MessagePackReader) throws(WireError) -> Range<Int> {
    try decodeText("Error", &reader)
  }

  private static func decodeText(_ name: StaticString, _ reader: inout MessagePackReader) throws(WireError) -> Range<
    Int
  > {
    var range = 0..<0
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      if key.equals(name) {
        let text = try reader.readRaw()
        range = (reader.offset - text.byteCount)..<reader.offset
      } else {
        try reader.skip()
      }
    }
    return range
  }
}
