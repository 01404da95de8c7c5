/// What clients did to a set of registers, as they saw it. Times are steps of one counter, so no two are equal.
package struct History: Sendable {
  package enum Kind: Hashable, Sendable {
    case read
    case write(UInt32)
    /// Writes the second value if the register holds the first; tells what it held before.
    case swap(expected: UInt32, UInt32)
  }

  package struct Operation: Hashable, Sendable {
    package var client: Int
    package var key: Int
    package var kind: Kind
    package var invokedAt: Int
    /// `nil`: the client never learnt what became of it. It may have taken effect, may do so later, or never.
    package var returnedAt: Int?
    /// What a read saw, or what a swap found.
    package var result: UInt32?

    package init(
      client: Int = 0, key: Int = 0, _ kind: Kind, from invokedAt: Int, to returnedAt: Int?, result: UInt32? = nil
    ) {
      self.client = client
      self.key = key
      self.kind = kind
      self.invokedAt = invokedAt
      self.returnedAt = returnedAt
      self.result = result
    }
  }

  package private(set) var operations: [Operation] = []
  private var clock = 0

  package init() {}

  /// Returns the number under which the end is reported.
  package mutating func invoke(_ kind: Kind, key: Int, client: Int) -> Int {
    clock += 1
    operations.append(Operation(client: client, key: key, kind, from: clock, to: nil))
    return operations.count - 1
  }

  package mutating func complete(_ number: Int, result: UInt32? = nil) {
    clock += 1
    operations[number].returnedAt = clock
    operations[number].result = result
  }

  /// By register: an operation on one cannot make a history of another wrong, so each is judged alone.
  package var byKey: [[Operation]] {
    var result: [[Operation]] = []
    for operation in operations {
      while result.count <= operation.key { result.append([]) }
      result[operation.key].append(operation)
    }
    return result
  }
}
