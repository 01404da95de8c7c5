import Base

/// A record with a unique name.
public protocol NamedRecord {
  var name: [UInt8] { get }
  /// What a removed slot holds, so that it keeps no memory.
  static var vacant: Self { get }
}

/// Records under stable small numbers, found by name without building a string, iterated in the order of their names.
///
/// Look-up is a binary search on bytes; insertion moves four bytes per record behind it. Numbers are reused after
/// removal.
public struct NameTable<Record: NamedRecord> {
  /// Indexed by id; slots of removed records are vacant.
  public private(set) var records: [Record] = []
  private var order: [Int32] = []
  private var free: [Int32] = []

  public init() {}

  public var count: Int { order.count }

  /// Ids in ascending order of the names' bytes.
  public var ids: [Int] { order.map { Int($0) } }

  /// The id at a position of that order.
  public func id(at position: Int) -> Int { Int(order[position]) }

  public subscript(id: Int) -> Record {
    _read { yield records[id] }
    _modify { yield &records[id] }
  }

  public func find(_ name: RawSpan) -> Int? {
    let position = lowerBound(name)
    guard position < order.count else { return nil }
    let id = Int(order[position])
    return name.equals(records[id].name) ? id : nil
  }

  /// The same for lists that are mostly in the order of the names, as ours are: looks first at the position after the
  /// one found before. `position` starts at zero and belongs to one list.
  public func find(_ name: RawSpan, next position: inout Int) -> Int? {
    if position < order.count {
      let id = Int(order[position])
      if name.equals(records[id].name) {
        position += 1
        return id
      }
    }
    let found = lowerBound(name)
    guard found < order.count, name.equals(records[Int(order[found])].name) else { return nil }
    position = found + 1
    return Int(order[found])
  }

  /// Precondition: no record has this name.
  @discardableResult
  public mutating func insert(_ record: Record) -> Int {
    let position = lowerBound(record.name.bytes)
    precondition(position == order.count || records[Int(order[position])].name != record.name)
    let id: Int
    if let slot = free.popLast() {
      id = Int(slot)
      records[id] = record
    } else {
      id = records.count
      records.append(record)
    }
    order.insert(Int32(id), at: position)
    return id
  }

  public mutating func remove(_ id: Int) {
    let position = lowerBound(records[id].name.bytes)
    precondition(position < order.count && order[position] == Int32(id))
    order.remove(at: position)
    records[id] = .vacant
    free.append(Int32(id))
  }

  private func lowerBound(_ name: RawSpan) -> Int {
    var low = 0
    var high = order.count
    while low < high {
      let middle = (low + high) / 2
      if Self.precedes(records[Int(order[middle])].name, name) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func precedes(_ a: [UInt8], _ b: RawSpan) -> Bool {
    let common = min(a.count, b.byteCount)
    for index in 0..<common {
      let left = a[index]
      let right = b.byte(at: index)
      if left != right { return left < right }
    }
    return a.count < b.byteCount
  }
}
