import RaftSimulator
import Testing

/// The judge of client histories must accept what a register can do, and nothing else. Times are steps of one counter.
@Suite struct LinearizabilityTests {
  typealias Operation = History.Operation

  private func verdict(_ operations: Operation...) -> Linearizability.Verdict { Linearizability.check(operations) }

  @Test func anEmptyHistoryIsLinearizable() { #expect(verdict() == .linearizable) }

  @Test func aReadSeesTheWriteBeforeIt() {
    #expect(verdict(Operation(.write(1), from: 1, to: 2), Operation(.read, from: 3, to: 4, result: 1)) == .linearizable)
  }

  @Test func aReadMustNotMissAWriteThatEndedBeforeIt() {
    #expect(verdict(Operation(.write(1), from: 1, to: 2), Operation(.read, from: 3, to: 4, result: 0)) == .violated)
  }

  @Test func aReadMustNotSeeAWriteThatBeginsAfterIt() {
    #expect(verdict(Operation(.read, from: 1, to: 2, result: 1), Operation(.write(1), from: 3, to: 4)) == .violated)
  }

  @Test func aReadDuringAWriteSeesEitherValue() {
    for value in [UInt32(0), 1] {
      #expect(
        verdict(Operation(.write(1), from: 1, to: 4), Operation(.read, from: 2, to: 3, result: value)) == .linearizable)
    }
  }

  /// Once one read has seen the new value, a later one must not see the old one again, though the write still goes on.
  @Test func valuesDoNotGoBack() {
    #expect(
      verdict(
        Operation(.write(1), from: 1, to: 10), Operation(.read, from: 2, to: 3, result: 1),
        Operation(.read, from: 4, to: 5, result: 0)) == .violated)
  }

  @Test func concurrentWritesMayTakeEffectInEitherOrder() {
    for last in [UInt32(1), 2] {
      #expect(
        verdict(
          Operation(.write(1), from: 1, to: 5), Operation(.write(2), from: 2, to: 4),
          Operation(.read, from: 6, to: 7, result: last)) == .linearizable)
    }
  }

  @Test func twoReadersMustAgreeOnTheOrderOfWrites() {
    #expect(
      verdict(
        Operation(.write(1), from: 1, to: 20), Operation(.write(2), from: 2, to: 21),
        Operation(.read, from: 3, to: 4, result: 1), Operation(.read, from: 5, to: 6, result: 2),
        Operation(.read, from: 7, to: 8, result: 1)) == .violated)
  }

  @Test func anUnknownWriteMayTakeEffectLateOrNever() {
    let unknown = Operation(.write(1), from: 1, to: nil)
    #expect(verdict(unknown, Operation(.read, from: 3, to: 4, result: 0)) == .linearizable)
    #expect(
      verdict(
        unknown, Operation(.read, from: 3, to: 4, result: 0), Operation(.read, from: 5, to: 6, result: 1))
        == .linearizable)
  }

  @Test func anUnknownWriteTakesEffectOnlyOnce() {
    #expect(
      verdict(
        Operation(.write(1), from: 1, to: nil), Operation(.read, from: 3, to: 4, result: 1),
        Operation(.write(2), from: 5, to: 6), Operation(.read, from: 7, to: 8, result: 1)) == .violated)
  }

  @Test func anUnknownWriteDoesNotTakeEffectBeforeItBegins() {
    #expect(verdict(Operation(.read, from: 1, to: 2, result: 1), Operation(.write(1), from: 3, to: nil)) == .violated)
  }

  @Test func onlyOneOfTwoSwapsFindsTheOldValue() {
    let first = Operation(.swap(expected: 0, 1), from: 1, to: 4, result: 0)
    #expect(verdict(first, Operation(.swap(expected: 0, 2), from: 2, to: 3, result: 0)) == .violated)
    #expect(verdict(first, Operation(.swap(expected: 0, 2), from: 2, to: 3, result: 1)) == .linearizable)
  }

  @Test func anUnknownSwapExplainsWhatLaterOnesFind() {
    let later = Operation(.swap(expected: 1, 2), from: 5, to: 6, result: 1)
    #expect(verdict(Operation(.swap(expected: 0, 1), from: 1, to: nil), later) == .linearizable)
    #expect(verdict(Operation(.swap(expected: 7, 1), from: 1, to: nil), later) == .violated)
  }

  @Test func registersAreJudgedApart() {
    var history = History()
    let write = history.invoke(.write(1), key: 0, client: 0)
    history.complete(write)
    let read = history.invoke(.read, key: 1, client: 0)
    history.complete(read, result: 0)
    #expect(history.byKey.allSatisfy { Linearizability.check($0) == .linearizable })
  }

  /// Many writes at once, read in an order that only a search finds: the cache of failed attempts keeps it short.
  @Test func wideConcurrencyIsDecided() {
    var operations = (1...14).map { Operation(.write(UInt32($0)), from: $0, to: 100 + $0) }
    for step in 0..<14 {
      operations.append(Operation(.read, from: 20 + 2 * step, to: 21 + 2 * step, result: UInt32(14 - step)))
    }
    #expect(Linearizability.check(operations) == .linearizable)
    operations.append(Operation(.read, from: 60, to: 61, result: 9))
    #expect(Linearizability.check(operations) == .violated)
  }
}
