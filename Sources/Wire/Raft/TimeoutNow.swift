import Base

/// "Start an election now" (type 03, raft.md 2.5): the last step of a leadership transfer.
public struct TimeoutNowRequest: Hashable, Sendable {
  public var header: RaftHeader

  public init(header: RaftHeader) { self.header = header }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    var fields = RaftHeaderFields()
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      if try !fields.decode(key, &reader) { try reader.skip() }
    }
    header = fields.header
  }

  func encode(into out: inout [UInt8]) {
    out.packMapHeader(header.fieldCount)
    out.packAddress(header)
    out.packID(header)
    out.packVersion(header)
  }
}

/// Answer to `TimeoutNowRequest`; carries nothing but a header with version 0.
public struct TimeoutNowResponse: Hashable, Sendable {
  public var header: RaftHeader

  public init(header: RaftHeader = RaftHeader(protocolVersion: 0)) { self.header = header }

  init(decoding reader: inout MessagePackReader) throws(WireError) {
    header = try TimeoutNowRequest(decoding: &reader).header
  }

  func encode(into out: inout [UInt8]) { TimeoutNowRequest(header: header).encode(into: &out) }
}
