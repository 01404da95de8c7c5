// The only file of this module with unsafe operations: unaligned loads and copies, each bounds-checked here.

extension RawSpan {
  /// Precondition: `offset` is inside the span (checked by the standard library).
  @inlinable public func byte(at offset: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  @inlinable public func uint16(at offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inlinable public func uint32(at offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  @inlinable public func uint64(at offset: Int) -> UInt64 {
    UInt64(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// An owned copy of the bytes in `range`.
  public func copy(_ range: Range<Int>) -> [UInt8] {
    let part = extracting(range)
    return unsafe part.withUnsafeBytes { unsafe [UInt8]($0) }
  }

  /// An owned copy of all bytes.
  public func copy() -> [UInt8] { copy(0..<byteCount) }

  /// True when both spans hold the same bytes.
  @inlinable public func equals(_ other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    return unsafe withUnsafeBytes { left in
      unsafe other.withUnsafeBytes { right in unsafe Self.areEqual(left, right) }
    }
  }

  /// Eight bytes at a time: names are short, and compared with every message. Precondition: both have the same length.
  @inlinable
  static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    let count = left.count
    var offset = 0
    while count - offset >= 8 {
      guard
        unsafe left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
          == right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      else { return false }
      offset += 8
    }
    while offset < count {
      guard unsafe left[offset] == right[offset] else { return false }
      offset += 1
    }
    return true
  }

  @inlinable public func equals(_ other: [UInt8]) -> Bool { equals(other.bytes) }

  /// The bytes as UTF-8 text; malformed sequences become U+FFFD, so foreign names can always be shown.
  public func text() -> String {
    unsafe withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }
}

extension Array where Element == UInt8 {
  /// The array's own bytes, borrowed.
  @inlinable public var bytes: RawSpan {
    @_lifetime(borrow self)
    get { unsafe span.bytes }
  }

  /// Appends borrowed bytes in one copy.
  public mutating func append(contentsOf span: RawSpan) {
    unsafe span.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }

  /// Appends the integer in network byte order.
  @inlinable public mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
    unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe append(contentsOf: $0) }
  }

  /// Overwrites the bytes at `offset` with the integer in network byte order.
  /// Precondition: they lie inside the array.
  public mutating func store<T: FixedWidthInteger>(bigEndian value: T, at offset: Int) {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
    unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe replaceSubrange(offset..<(offset + $0.count), with: $0) }
  }
}

extension RawSpan {
  /// True when the bytes are exactly this text.
  @inlinable public func equals(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard byteCount == count else { return false }
    return text.withUTF8Buffer { other in
      unsafe withUnsafeBytes { unsafe Self.areEqual($0, UnsafeRawBufferPointer(other)) }
    }
  }
}

/// Lets borrowed map keys be switched on: `switch key { case "Seq": ... }`.
@inlinable public func ~= (text: StaticString, bytes: RawSpan) -> Bool { bytes.equals(text) }

extension Array where Element == UInt8 {
  /// Part of the bytes, borrowed. Precondition: the range lies inside the array.
  @_lifetime(borrow self)
  public func bytes(_ range: Range<Int>) -> RawSpan { unsafe span.bytes.extracting(range) }
}
