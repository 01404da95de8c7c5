import Base

/// The common fields of read requests (rpc.md section 4), flattened into the request's own map.
public struct QueryOptions: Hashable, Sendable {
  public var region = ""
  public var namespace = ""
  /// Above 0 the query blocks until the result's index is greater.
  public var minimumQueryIndex: UInt64 = 0
  /// Budget of a blocking query; not positive means the server's default.
  public var maximumQueryTime = Interval.zero
  /// Any server may answer from its own state.
  public var allowStale = false
  public var prefix = ""
  public var authToken = ""
  public var perPage: Int32 = 0
  public var nextToken = ""
  /// Set by a server that passes the request on; informational.
  public var forwarded = false
  /// Sent only when not empty: old peers do not know it.
  public var filter = ""
  /// Sent only when true: old peers do not know it.
  public var reverse = false

  public init() {}

  public init(region: String, allowStale: Bool = false) {
    self.region = region
    self.allowStale = allowStale
  }

  /// Reads a whole request map, stepping over everything else: `GenericRequest`, or when only these fields matter.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      if !(try decode(field: key, from: &reader)) { try reader.skip() }
    }
  }

  /// Reads the value of `key` if the key is one of these fields. False leaves the reader at the value, for the caller.
  public mutating func decode(field key: RawSpan, from reader: inout MessagePackReader) throws(WireError) -> Bool {
    switch key {
    case "Region": region = try reader.readString()
    case "Namespace": namespace = try reader.readString()
    case "MinQueryIndex": minimumQueryIndex = try reader.readUInt64()
    case "MaxQueryTime": maximumQueryTime = Interval(nanoseconds: try reader.readInt64())
    case "AllowStale": allowStale = try reader.readBool()
    case "Prefix": prefix = try reader.readString()
    case "AuthToken": authToken = try reader.readString()
    case "PerPage": perPage = try reader.readInteger(as: Int32.self)
    case "NextToken": nextToken = try reader.readString()
    case "Forwarded": forwarded = try reader.readBool()
    case "Filter": filter = try reader.readString()
    case "Reverse": reverse = try reader.readBool()
    default: return false
    }
    return true
  }

  /// How many pairs `encodeFields` appends; to be added to the caller's own in the map header.
  public var fieldCount: Int { 10 + (filter.isEmpty ? 0 : 1) + (reverse ? 1 : 0) }

  /// Appends the pairs without a map header, in Go's sorted order.
  public func encodeFields(into bytes: inout [UInt8]) {
    bytes.pack("AllowStale" as StaticString)
    bytes.pack(allowStale)
    bytes.pack("AuthToken" as StaticString)
    bytes.pack(authToken)
    if !filter.isEmpty {
      bytes.pack("Filter" as StaticString)
      bytes.pack(filter)
    }
    bytes.pack("Forwarded" as StaticString)
    bytes.pack(forwarded)
    bytes.pack("MaxQueryTime" as StaticString)
    bytes.pack(maximumQueryTime)
    bytes.pack("MinQueryIndex" as StaticString)
    bytes.pack(unsigned: minimumQueryIndex)
    bytes.pack("Namespace" as StaticString)
    bytes.pack(namespace)
    bytes.pack("NextToken" as StaticString)
    bytes.pack(nextToken)
    bytes.pack("PerPage" as StaticString)
    bytes.pack(signed: Int64(perPage))
    bytes.pack("Prefix" as StaticString)
    bytes.pack(prefix)
    bytes.pack("Region" as StaticString)
    bytes.pack(region)
    if reverse {
      bytes.pack("Reverse" as StaticString)
      bytes.pack(reverse)
    }
  }

  /// Appends a complete `GenericRequest`.
  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(fieldCount)
    encodeFields(into: &bytes)
  }
}

/// The common fields of write requests, flattened into the request's own map.
public struct WriteRequest: Hashable, Sendable {
  public var region = ""
  public var namespace = ""
  public var authToken = ""
  public var forwarded = false
  /// Sent only when not empty: old peers do not know it.
  public var idempotencyToken = ""

  public init() {}
  public init(region: String) { self.region = region }

  /// Reads a whole request map, stepping over everything else.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      if !(try decode(field: key, from: &reader)) { try reader.skip() }
    }
  }

  /// Reads the value of `key` if the key is one of these fields. False leaves the reader at the value, for the caller.
  public mutating func decode(field key: RawSpan, from reader: inout MessagePackReader) throws(WireError) -> Bool {
    switch key {
    case "Region": region = try reader.readString()
    case "Namespace": namespace = try reader.readString()
    case "AuthToken": authToken = try reader.readString()
    case "Forwarded": forwarded = try reader.readBool()
    case "IdempotencyToken": idempotencyToken = try reader.readString()
    default: return false
    }
    return true
  }

  /// How many pairs `encodeFields` appends.
  public var fieldCount: Int { 4 + (idempotencyToken.isEmpty ? 0 : 1) }

  /// Appends the pairs without a map header, in Go's sorted order.
  public func encodeFields(into bytes: inout [UInt8]) {
    bytes.pack("AuthToken" as StaticString)
    bytes.pack(authToken)
    bytes.pack("Forwarded" as StaticString)
    bytes.pack(forwarded)
    if !idempotencyToken.isEmpty {
      bytes.pack("IdempotencyToken" as StaticString)
      bytes.pack(idempotencyToken)
    }
    bytes.pack("Namespace" as StaticString)
    bytes.pack(namespace)
    bytes.pack("Region" as StaticString)
    bytes.pack(region)
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(fieldCount)
    encodeFields(into: &bytes)
  }
}

/// The common fields of read replies, flattened into the reply's own map.
public struct QueryMeta: Hashable, Sendable {
  public var index: UInt64 = 0
  /// Time since the answering server last heard from the leader; zero on the leader.
  public var lastContact = Interval.zero
  public var knownLeader = false
  /// Sent only when not empty: old peers do not know it.
  public var nextToken = ""

  public init() {}

  public init(index: UInt64, lastContact: Interval = .zero, knownLeader: Bool) {
    self.index = index
    self.lastContact = lastContact
    self.knownLeader = knownLeader
  }

  /// Reads a whole reply map, stepping over everything else.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      if !(try decode(field: key, from: &reader)) { try reader.skip() }
    }
  }

  /// Reads the value of `key` if the key is one of these fields. False leaves the reader at the value, for the caller.
  public mutating func decode(field key: RawSpan, from reader: inout MessagePackReader) throws(WireError) -> Bool {
    switch key {
    case "Index": index = try reader.readUInt64()
    case "LastContact": lastContact = Interval(nanoseconds: try reader.readInt64())
    case "KnownLeader": knownLeader = try reader.readBool()
    case "NextToken": nextToken = try reader.readString()
    default: return false
    }
    return true
  }

  /// How many pairs `encodeFields` appends.
  public var fieldCount: Int { 3 + (nextToken.isEmpty ? 0 : 1) }

  /// Appends the pairs without a map header, in Go's sorted order.
  public func encodeFields(into bytes: inout [UInt8]) {
    bytes.pack("Index" as StaticString)
    bytes.pack(unsigned: index)
    bytes.pack("KnownLeader" as StaticString)
    bytes.pack(knownLeader)
    bytes.pack("LastContact" as StaticString)
    bytes.pack(lastContact)
    if !nextToken.isEmpty {
      bytes.pack("NextToken" as StaticString)
      bytes.pack(nextToken)
    }
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(fieldCount)
    encodeFields(into: &bytes)
  }
}

/// The common field of write replies.
public struct WriteMeta: Hashable, Sendable {
  public var index: UInt64 = 0

  public init(index: UInt64 = 0) { self.index = index }

  /// Reads a whole reply map, stepping over everything else.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    for _ in 0..<(try reader.readMapHeader()) {
      let key = try reader.readRaw()
      if !(try decode(field: key, from: &reader)) { try reader.skip() }
    }
  }

  /// Reads the value of `key` if the key is `Index`. False leaves the reader at the value, for the caller.
  public mutating func decode(field key: RawSpan, from reader: inout MessagePackReader) throws(WireError) -> Bool {
    guard key.equals("Index") else { return false }
    index = try reader.readUInt64()
    return true
  }

  public let fieldCount = 1

  public func encodeFields(into bytes: inout [UInt8]) {
    bytes.pack("Index" as StaticString)
    bytes.pack(unsigned: index)
  }

  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(fieldCount)
    encodeFields(into: &bytes)
  }
}
