import Base

/// The objects inside streaming RPCs (rpc.md section 9).

/// What most streams are made of: bytes, or an error that ends them.
public struct StreamPiece: Hashable, Sendable {
  public struct Failure: Hashable, Sendable {
    public var text: String
    public var code: Int64?

    public init(text: String, code: Int64? = nil) {
      self.text = text
      self.code = code
    }
  }

  public var error: Failure?
  /// Empty as a sign of life.
  public var payload: [UInt8] = []

  /// The text by which a caller marks the end of what it sends.
  public static let endText = "EOF"
  /// Bytes of one piece, at most; Go writes far smaller ones.
  public static let maximumBytes = 4 << 20

  public init(payload: [UInt8]) { self.payload = payload }
  public init(error: Failure) { self.error = error }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Payload": payload = try reader.readNil() ? [] : try reader.readByteArray()
      case "Error":
        if try reader.readNil() { continue }
        error = try Self.decodeFailure(&reader)
      default: try reader.skip()
      }
    }
  }

  private static func decodeFailure(_ reader: inout MessagePackReader) throws(WireError) -> Failure {
    var failure = Failure(text: "")
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readRaw() {
      case "Message": failure.text = try reader.readString()
      case "Code": failure.code = try reader.readNil() ? nil : try reader.readInt64()
      default: try reader.skip()
      }
    }
    return failure
  }

  public func encode(into out: inout [UInt8]) {
    out.packMapHeader(2)
    out.pack("Error" as StaticString)
    if let error {
      out.packMapHeader(2)
      out.pack("Code" as StaticString)
      if let code = error.code { out.pack(signed: code) } else { out.packNil() }
      out.pack("Message" as StaticString)
      out.pack(error.text)
    } else {
      out.packNil()
    }
    out.pack("Payload" as StaticString)
    if payload.isEmpty { out.packNil() } else { out.pack(raw: payload) }
  }

  /// A whole input of a caller: the bytes in pieces, and the end mark.
  public static func encode(whole bytes: [UInt8], into out: inout [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let end = min(offset + (32 << 10), bytes.count)
      out.packMapHeader(2)
      out.pack("Error" as StaticString)
      out.packNil()
      out.pack("Payload" as StaticString)
      out.pack(raw: bytes.bytes(offset..<end))
      offset = end
    }
    StreamPiece(error: Failure(text: endText)).encode(into: &out)
  }
}

/// The one object that answers a snapshot RPC; behind that of a save the archive follows.
public struct SnapshotReply: Hashable, Sendable {
  /// HTTP status of the failure; 0 on success.
  public var errorCode: Int64 = 0
  public var errorText = ""
  /// `sha-256=` and base64, of the archive; only for a save.
  public var checksum = ""
  public var meta = QueryMeta()

  public init() {}
  public init(errorCode: Int64, errorText: String) {
    self.errorCode = errorCode
    self.errorText = errorText
  }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      switch key {
      case "ErrorCode": errorCode = try reader.readInt64()
      case "ErrorMsg": errorText = try reader.readString()
      case "SnapshotChecksum": checksum = try reader.readString()
      default: if !(try meta.decode(field: key, from: &reader)) { try reader.skip() }
      }
    }
  }

  public func encode(into out: inout [UInt8]) {
    let hasError = !errorText.isEmpty
    out.packMapHeader(meta.fieldCount + (hasError ? 2 : 0) + (checksum.isEmpty ? 0 : 1))
    if hasError {
      out.pack("ErrorCode" as StaticString)
      out.pack(signed: errorCode)
      out.pack("ErrorMsg" as StaticString)
      out.pack(errorText)
    }
    meta.encodeFields(into: &out)
    if !checksum.isEmpty {
      out.pack("SnapshotChecksum" as StaticString)
      out.pack(checksum)
    }
  }
}

/// The request of `Agent.Monitor`, as far as it is understood; the common fields are in `options`.
public struct MonitorRequest: Hashable, Sendable {
  public var logLevel = ""
  public var isJSON = false
  public var isPlain = false
  public var nodeID = ""
  public var serverID = ""
  public var options = QueryOptions()

  public init() {}

  /// Reads any streaming request; what a method does not have stays empty.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      switch key {
      case "LogLevel": logLevel = try reader.readString()
      case "LogJSON": isJSON = try reader.readBool()
      case "PlainText": isPlain = try reader.readBool()
      case "NodeID": nodeID = try reader.readString()
      case "ServerID": serverID = try reader.readString()
      default: if !(try options.decode(field: key, from: &reader)) { try reader.skip() }
      }
    }
  }

  public func encode(into out: inout [UInt8]) {
    out.packMapHeader(5 + options.fieldCount)
    out.pack("LogJSON" as StaticString)
    out.pack(isJSON)
    out.pack("LogLevel" as StaticString)
    out.pack(logLevel)
    out.pack("NodeID" as StaticString)
    out.pack(nodeID)
    out.pack("PlainText" as StaticString)
    out.pack(isPlain)
    out.pack("ServerID" as StaticString)
    out.pack(serverID)
    options.encodeFields(into: &out)
  }

  /// Nil for a word that is no level; empty means info.
  public var level: LogLevel? {
    switch logLevel.lowercased() {
    case "": .info
    case "trace": .trace
    case "debug": .debug
    case "info": .info
    case "warn", "warning": .warn
    case "error", "err": .error
    default: nil
    }
  }
}
