/// Decides whether a history of one register is linearizable: whether each operation can be given one instant between
/// its begin and its end, such that a single register that did them in that order would have given the same answers.
///
/// The search of Wing and Gong (1993) with the undoing of Lowe (2017): walk the begins and ends in order of time,
/// take the first operation that the register allows, go back when an end is met whose operation was not taken. A pair
/// of "which operations were taken" and "what the register holds" that failed once is not tried again.
package struct Linearizability {
  package enum Verdict: Hashable, Sendable {
    case linearizable
    case violated
    /// The search was given up after `maximumSteps`.
    case undecided
  }

  /// Bounds the search; histories of the simulation need a few hundred steps.
  package static let maximumSteps = 2_000_000

  private struct Call {
    var kind: History.Kind
    var isPending: Bool
    var result: UInt32?
  }

  /// Begins and ends in order of time, as a doubly linked list; position 0 is the head.
  private struct Node {
    var call: Int
    var isBegin: Bool
    var previous: Int
    var next: Int
    /// Of a begin: the position of its end.
    var end: Int
  }

  private struct Configuration: Hashable {
    var taken: [UInt64]
    var value: UInt32
  }

  private var calls: [Call] = []
  private var nodes: [Node] = []

  /// Registers hold 0 at first.
  package static func check(_ operations: [History.Operation]) -> Verdict {
    var search = Linearizability(relevant(operations))
    return search.run()
  }

  /// Leaves out unfinished operations that nobody noticed: reads, and writes of values that no operation saw or
  /// expected. Without them every order that was possible still is, because "never" is one of their legal fates.
  private static func relevant(_ operations: [History.Operation]) -> [History.Operation] {
    var noticed: Set<UInt32> = []
    for operation in operations {
      if let result = operation.result { noticed.insert(result) }
      if case .swap(let expected, _) = operation.kind { noticed.insert(expected) }
    }
    return operations.filter { operation in
      guard operation.returnedAt == nil else { return true }
      switch operation.kind {
      case .read: return false
      case .write(let value), .swap(_, let value): return noticed.contains(value)
      }
    }
  }

  private init(_ operations: [History.Operation]) {
    var moments: [(time: Int, call: Int, isBegin: Bool)] = []
    for (number, operation) in operations.enumerated() {
      calls.append(
        Call(kind: operation.kind, isPending: operation.returnedAt == nil, result: operation.result))
      moments.append((operation.invokedAt, number, true))
      moments.append((operation.returnedAt ?? .max, number, false))
    }
    moments.sort { ($0.time, $0.call) < ($1.time, $1.call) }
    nodes.append(Node(call: -1, isBegin: false, previous: 0, next: 0, end: 0))
    var begins: [Int: Int] = [:]
    for moment in moments {
      let position = nodes.count
      nodes.append(Node(call: moment.call, isBegin: moment.isBegin, previous: position - 1, next: 0, end: 0))
      nodes[position - 1].next = position
      if moment.isBegin {
        begins[moment.call] = position
      } else if let begin = begins[moment.call] {
        nodes[begin].end = position
      }
    }
  }

  private mutating func run() -> Verdict {
    var configuration = Configuration(taken: Array(repeating: 0, count: (calls.count + 63) / 64), value: 0)
    var failed: Set<Configuration> = []
    var stack: [(begin: Int, value: UInt32)] = []
    var position = nodes[0].next
    var steps = 0
    while nodes[0].next != 0 {
      steps += 1
      if steps > Self.maximumSteps { return .undecided }
      // Nothing but unfinished operations is left: "never" does for them.
      if position != 0, nodes[position].isBegin {
        let call = nodes[position].call
        if let value = after(calls[call], on: configuration.value) {
          var next = configuration
          next.taken[call / 64] |= 1 << UInt64(call % 64)
          next.value = value
          if failed.insert(next).inserted {
            stack.append((position, configuration.value))
            configuration = next
            lift(position)
            position = nodes[0].next
            continue
          }
        }
        position = nodes[position].next
      } else {
        guard let last = stack.popLast() else { return .violated }
        let call = nodes[last.begin].call
        configuration.taken[call / 64] &= ~(1 << UInt64(call % 64))
        configuration.value = last.value
        unlift(last.begin)
        position = nodes[last.begin].next
      }
    }
    return .linearizable
  }

  /// What the register holds after the operation; `nil` when it would have answered something else.
  private func after(_ call: Call, on value: UInt32) -> UInt32? {
    switch call.kind {
    case .read: call.isPending || call.result == value ? value : nil
    case .write(let new): new
    case .swap(let expected, let new):
      if !call.isPending, call.result != value { nil } else { expected == value ? new : value }
    }
  }

  private mutating func lift(_ begin: Int) {
    for position in [begin, nodes[begin].end] {
      let node = nodes[position]
      nodes[node.previous].next = node.next
      if node.next != 0 { nodes[node.next].previous = node.previous }
    }
  }

  /// Undoes `lift`, in the opposite order.
  private mutating func unlift(_ begin: Int) {
    for position in [nodes[begin].end, begin] {
      let node = nodes[position]
      nodes[node.previous].next = position
      if node.next != 0 { nodes[node.next].previous = position }
    }
  }
}
