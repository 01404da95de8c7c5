import Base
import Gossip
import Wire

/// Whose name it is that we and another address claim, by the word of the pool.
public struct NameVerdict: Hashable, Sendable {
  /// The other address.
  public let claimant: SocketAddress
  /// Members that answered.
  public let answers: Int
  /// Those of them that know the name under our address.
  public let agreeing: Int

  /// Somebody answered.
  public var isDecided: Bool { answers > 0 }
  /// Serf's rule: the name belongs to whom a majority of the answers gives it.
  public var isOurs: Bool { agreeing * 2 > answers }

  public init(claimant: SocketAddress, answers: Int, agreeing: Int) {
    self.claimant = claimant
    self.answers = answers
    self.agreeing = agreeing
  }
}

/// An address that claims a member's name. It is no member, but may ask whose name it is.
struct NameClaimant {
  let address: SocketAddress
  var seen: Instant
  /// When it may be answered again.
  var nextAnswer: Instant
}

// Two nodes of one name (gossip.md 5.13, 6.10). The pool keeps the first; both ask the others who that is, and tell
// their operators. A plain Serf agent ends when it is in the minority. Nomad's servers go on, and so do ours.
extension SerfLayer {
  /// Between two questions about our own name.
  static let conflictQueryInterval = Interval.minutes(1)
  static let maximumClaimants = 16
  static let claimantMemory = Interval.minutes(2)
  static let claimantAnswerInterval = Interval.seconds(5)

  mutating func noteClaim(of address: SocketAddress, at now: Instant) {
    if let index = claimants.firstIndex(where: { $0.address == address }) { return claimants[index].seen = now }
    claimants.removeAll { now - $0.seen > Self.claimantMemory }
    if claimants.count >= Self.maximumClaimants { claimants.removeFirst() }
    claimants.append(NameClaimant(address: address, seen: now, nextAnswer: now))
  }

  /// Asks everybody where they know our name.
  mutating func askWhoseName(claimedBy claimant: SocketAddress, at now: Instant, effects: inout Effects) {
    guard lifecycle == .alive, now >= nextConflictQuery else { return }
    nextConflictQuery = now + Self.conflictQueryInterval
    _ = startQuery(
      Query(name: "_serf_conflict", payload: localName), purpose: .ownName(claimant: claimant), now: now,
      effects: &effects)
  }

  mutating func collectOwner(_ response: SerfQueryResponse, _ index: Int) {
    // Who does not know the name, or says nothing that can be read, does not agree.
    guard let answer = try? SerfConflictResponse(response.payload) else { return }
    if answer.address == configuration.gossip.address { queries[index].agreeing += 1 }
  }

  /// Our view of a member whose name two nodes claim. The one that is no member hears it, too, but not often: its
  /// address is only its own claim.
  mutating func answerConflict(_ name: RawSpan, _ answer: QueryAnswer, at now: Instant, effects: inout Effects) {
    guard !name.equals(localName) else { return }
    var payload: [UInt8] = [SerfMessageKind.conflictResponse.rawValue]
    if let id = members.find(name) {
      members[id].encodeMember(into: &payload)
    } else {
      payload.packNil()
    }
    var isClaimant = false
    if let index = claimants.firstIndex(where: { $0.address == answer.destination && now >= $0.nextAnswer }) {
      claimants[index].nextAnswer = now + Self.claimantAnswerInterval
      isClaimant = true
    }
    send(payload, flags: 0, to: answer, isClaimant: isClaimant, effects: &effects)
  }
}
