import Base

/// How records look in the database. Keys are ordered so that entries follow the fixed records and appends go to the
/// end: `A` format version, `H` hard state, `J` the last batch of the journal that is in here, `L` + 8 bytes big-endian
/// index for an entry.
///
/// A value is: format byte 1, CRC-64 of key and payload (8 bytes), payload.
enum RecordFormat {
  static let version: UInt8 = 1
  static let headerBytes = 9
  static let versionKey: [UInt8] = [UInt8(ascii: "A")]
  static let hardStateKey: [UInt8] = [UInt8(ascii: "H")]
  static let sequenceKey: [UInt8] = [UInt8(ascii: "J")]
  static let entryPrefix = UInt8(ascii: "L")
  /// What identifies the file as ours. Version 2 has a journal beside it.
  static let signature = Array("nomadd log 2".utf8)
  static let signatureWithoutJournal = Array("nomadd log 1".utf8)

  static func key(_ index: UInt64) -> [UInt8] {
    var key: [UInt8] = [entryPrefix]
    key.append(bigEndian: index)
    return key
  }

  /// `nil` for the key of another record.
  static func index(ofKey key: RawSpan) -> UInt64? {
    guard key.byteCount == 9, key.byte(at: 0) == entryPrefix else { return nil }
    return key.uint64(at: 1)
  }

  static func record(_ key: [UInt8], _ payload: [UInt8]) -> [UInt8] {
    var record: [UInt8] = []
    record.reserveCapacity(headerBytes + payload.count)
    record.append(version)
    record.append(bigEndian: checksum(key.bytes, payload.bytes))
    record.append(contentsOf: payload)
    return record
  }

  /// The payload, if the record is whole.
  @_lifetime(copy record)
  static func payload(_ key: [UInt8], _ record: RawSpan) throws(RecordDefect) -> RawSpan {
    guard record.byteCount >= headerBytes else { throw .truncated }
    guard record.byte(at: 0) == version else { throw .unknownVersion }
    let payload = record.extracting(headerBytes..<record.byteCount)
    guard record.uint64(at: 1) == checksum(key.bytes, payload) else { throw .checksum }
    return payload
  }

  private static func checksum(_ key: RawSpan, _ payload: RawSpan) -> UInt64 {
    var checksum = Checksum()
    checksum.add(key)
    checksum.add(payload)
    return checksum.value
  }

  static func encode(_ entry: StoredEntry) -> [UInt8] {
    var payload: [UInt8] = []
    payload.reserveCapacity(entryHeaderBytes + entry.extensions.count + entry.data.count)
    encode(entry, into: &payload)
    return payload
  }

  static let entryHeaderBytes = 13

  static func encode(_ entry: StoredEntry, into payload: inout [UInt8]) {
    payload.append(bigEndian: entry.term)
    payload.append(entry.kind)
    payload.append(bigEndian: UInt32(clamping: entry.extensions.count))
    payload.append(contentsOf: entry.extensions)
    payload.append(contentsOf: entry.data)
  }

  static func decodeEntry(_ index: UInt64, _ payload: RawSpan) throws(RecordDefect) -> StoredEntry {
    do throws(ByteError) {
      var reader = ByteReader(payload)
      let term = try reader.readUInt64()
      let kind = try reader.readUInt8()
      let extensions = try reader.readBytes(Int(try reader.readUInt32()))
      let data = try reader.readBytes(reader.remaining)
      return StoredEntry(index: index, term: term, kind: kind, data: data, extensions: extensions)
    } catch {
      throw .truncated
    }
  }

  static func encode(_ state: StoredHardState) -> [UInt8] {
    var payload: [UInt8] = []
    payload.append(bigEndian: state.term)
    payload.append(state.vote == nil ? 0 : 1)
    payload.append(contentsOf: state.vote ?? [])
    return payload
  }

  static func decodeHardState(_ payload: RawSpan) throws(RecordDefect) -> StoredHardState {
    do throws(ByteError) {
      var reader = ByteReader(payload)
      let term = try reader.readUInt64()
      let hasVote = try reader.readUInt8() != 0
      let vote = try reader.readBytes(reader.remaining)
      return StoredHardState(term: term, vote: hasVote ? vote : nil)
    } catch {
      throw .truncated
    }
  }
}

enum RecordDefect: Error, Hashable {
  case truncated, unknownVersion, checksum, missing
}
