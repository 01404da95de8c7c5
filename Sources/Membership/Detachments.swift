import Base

/// Regions that ours was detached from, by a command that is older or younger than the one that allows them again.
///
/// The lines of the snapshot are ours alone; Serf skips what it does not know.
public struct Detachments: Hashable, Sendable {
  private var verdicts: [String: Verdict] = [:]

  private struct Verdict: Hashable, Sendable {
    /// The Lamport time of the event: commands may arrive in any order, and again.
    var time: UInt64
    var isDetached: Bool
  }

  /// A pool has few regions; who floods us with names of others gains nothing.
  static let maximumRegions = 256

  public init() {}

  public var isEmpty: Bool { !verdicts.values.contains { $0.isDetached } }
  /// Sorted.
  public var regions: [String] { verdicts.filter { $0.value.isDetached }.keys.sorted() }

  public func contains(_ region: String) -> Bool { verdicts[region]?.isDetached ?? false }

  /// False when it is no news.
  mutating func note(_ region: String, isDetached: Bool, at time: UInt64) -> Bool {
    if let known = verdicts[region] {
      guard time > known.time else { return false }
    } else if verdicts.count >= Self.maximumRegions {
      return false
    }
    let wasDetached = contains(region)
    verdicts[region] = Verdict(time: time, isDetached: isDetached)
    return wasDetached != isDetached
  }

  // MARK: Lines

  private static let detached = "detached: "
  private static let attached = "attached: "

  var lines: [String] { verdicts.keys.sorted().compactMap { line(of: $0) } }

  func line(of region: String) -> String? {
    verdicts[region].map { ($0.isDetached ? Self.detached : Self.attached) + "\($0.time) \(region)" }
  }

  /// Any line of a snapshot; others are skipped.
  public mutating func replay(_ line: String) {
    for (prefix, isDetached) in [(Self.detached, true), (Self.attached, false)] where line.hasPrefix(prefix) {
      let words = line.dropFirst(prefix.count).split(separator: " ", maxSplits: 1)
      guard words.count == 2, let time = UInt64(words[0]) else { return }
      _ = note(String(words[1]), isDetached: isDetached, at: time)
    }
  }
}
