/// A table of values named by index and generation: storing and finding cost no allocation and no hash, and a name that
/// outlived its value is recognised. Freed indices are reused last-in first-out, which is deterministic.
struct SlotMap<Element: Sendable>: Sendable {
  private var elements: [Element] = []
  /// Odd while the slot is in use.
  private var generations: [UInt32] = []
  private var free: [Int32] = []
  private let vacant: Element

  /// `vacant` fills unused slots; it should hold no memory.
  init(vacant: Element) { self.vacant = vacant }

  var count: Int { elements.count - free.count }
  /// Upper bound of the indices in use.
  var capacity: Int { elements.count }

  mutating func insert(_ element: Element) -> Int {
    if let slot = free.popLast() {
      let index = Int(slot)
      elements[index] = element
      generations[index] &+= 1
      return index
    }
    elements.append(element)
    generations.append(1)
    return elements.count - 1
  }

  mutating func remove(_ index: Int) {
    guard isUsed(index) else { return }
    elements[index] = vacant
    generations[index] &+= 1
    free.append(Int32(index))
  }

  func isUsed(_ index: Int) -> Bool { index >= 0 && index < elements.count && generations[index] & 1 == 1 }

  func generation(_ index: Int) -> UInt32 { generations[index] }

  func name(_ index: Int) -> SlotName { SlotName(index: UInt32(index), generation: generations[index]) }

  /// The index behind a name, if it still means the same value.
  func find(_ name: SlotName) -> Int? {
    let index = Int(name.index)
    return isUsed(index) && generations[index] == name.generation ? index : nil
  }

  /// Precondition: the slot is in use.
  subscript(_ index: Int) -> Element {
    _read { yield elements[index] }
    _modify { yield &elements[index] }
  }
}

/// Index and generation of an entry of a `SlotMap`.
struct SlotName: Hashable, Sendable {
  var index: UInt32
  var generation: UInt32
}
