import Base

/// What a restart needs to find its pool again, as lines of text (gossip.md 6.11). The owner does the IO.
struct Snapshot {
  /// Names in the order they were recorded alive.
  private(set) var members: [(name: String, address: SocketAddress)] = []
  private(set) var clock: UInt64 = 0
  private(set) var eventClock: UInt64 = 0
  private(set) var queryClock: UInt64 = 0
  private(set) var detachments = Detachments()

  static let maximumMembers = 10_000

  /// Replays lines in order. Unknown and damaged lines are skipped. A `leave` forgets what came before it, unless
  /// `rejoinAfterLeave`.
  init(lines: [String], rejoinAfterLeave: Bool) {
    var positions: [String: Int] = [:]
    var entries: [(name: String, address: SocketAddress)?] = []
    for line in lines {
      if line == "leave" {
        guard !rejoinAfterLeave else { continue }
        positions = [:]
        entries = []
        (clock, eventClock, queryClock) = (0, 0, 0)
      } else if let rest = Self.rest(of: line, after: "alive: ") {
        guard let space = rest.lastIndex(of: " "), let address = SocketAddress(rest[rest.index(after: space)...])
        else { continue }
        let name = String(rest[..<space])
        if let old = positions[name] { entries[old] = nil }
        guard positions.count < Self.maximumMembers else { continue }
        positions[name] = entries.count
        entries.append((name, address))
      } else if let rest = Self.rest(of: line, after: "not-alive: ") {
        if let old = positions.removeValue(forKey: String(rest)) { entries[old] = nil }
      } else if let value = Self.rest(of: line, after: "clock: ").flatMap({ UInt64($0) }) {
        clock = value
      } else if let value = Self.rest(of: line, after: "event-clock: ").flatMap({ UInt64($0) }) {
        eventClock = value
      } else if let value = Self.rest(of: line, after: "query-clock: ").flatMap({ UInt64($0) }) {
        queryClock = value
      } else {
        detachments.replay(line)
      }
    }
    members = entries.compactMap { $0 }
  }

  static func aliveLine(_ member: Member) -> String { "alive: \(member.name) \(member.address)" }
  static func goneLine(_ member: Member) -> String { "not-alive: \(member.name)" }

  private static func rest(of line: String, after prefix: String) -> Substring? {
    line.hasPrefix(prefix) ? line.dropFirst(prefix.count) : nil
  }
}
