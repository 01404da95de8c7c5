import Base

/// What each host may cost us: buckets that fill again with time, for a bounded number of hosts (gossip.md 9.1).
///
/// Looked at only for what is expensive, so the search is a plain one.
struct SourceLimiter: Sendable {
  private struct Bucket {
    let host: IPAddress
    var level: Int
    var filled: Instant
  }

  private var buckets: [Bucket] = []
  private let burst: Int
  private let perSecond: Int

  /// Hosts remembered; the one that was looked at longest ago is forgotten for a new one, which starts with a full
  /// bucket.
  static let maximumHosts = 256

  init(burst: Int, perSecond: Int) {
    self.burst = burst
    self.perSecond = perSecond
    buckets.reserveCapacity(Self.maximumHosts)
  }

  /// Takes `amount` from the host's bucket if there is anything in it. The amount is often known only afterwards, so
  /// the bucket may go into debt, at most by its own size, and nothing is given until that is paid back.
  mutating func take(_ amount: Int, from host: IPAddress, at now: Instant) -> Bool {
    let index = bucket(of: host, at: now)
    guard buckets[index].level > 0 else { return false }
    buckets[index].level = max(-burst, buckets[index].level - amount)
    return true
  }

  private mutating func bucket(of host: IPAddress, at now: Instant) -> Int {
    if let index = buckets.firstIndex(where: { $0.host == host }) {
      let earned = (now - buckets[index].filled).nanoseconds / 1000 * Int64(perSecond) / 1_000_000
      if earned > 0 {
        buckets[index].level = Int(min(Int64(burst), Int64(buckets[index].level) + earned))
        buckets[index].filled = now
      }
      return index
    }
    let fresh = Bucket(host: host, level: burst, filled: now)
    if buckets.count < Self.maximumHosts {
      buckets.append(fresh)
      return buckets.count - 1
    }
    var oldest = 0
    for index in buckets.indices where buckets[index].filled < buckets[oldest].filled { oldest = index }
    buckets[oldest] = fresh
    return oldest
  }
}
