import Base
import RPC
import Simulator
import Testing

/// `raft_snapshot_threshold` and `raft_snapshot_interval`.
@Suite struct SnapshotPaceTests {
  @Test func snapshotsKeepTheirIntervalUnlessTheLogGrowsToFourTimesTheThreshold() throws {
    let story = Story(servers: 1) {
      $0.snapshotThreshold = 8
      $0.snapshotInterval = .minutes(5)
    }
    let client = story.addClient()
    try story.form()
    let server = story.servers[0]
    func write(_ count: Int) throws {
      for number in 0..<count {
        let answer = try story.ask(
          server, .nodeUpdateEligibility, ("NodeID", client.nodeID),
          ("Eligibility", number.isMultiple(of: 2) ? "ineligible" : "eligible"))
        #expect(answer.errorText == nil)
      }
    }
    func snapshot() throws -> UInt64 { try #require(server.server).raft.snapshotIndex.value }

    // The first is due as soon as there is enough for one.
    try write(12)
    try story.wait("a first snapshot") { (try? snapshot()) ?? 0 > 0 }
    let first = try snapshot()
    // Enough for a second one, but not the time for it.
    try write(16)
    story.run(.seconds(30))
    #expect(try snapshot() == first)
    // The time has come, with the next entries.
    story.run(.minutes(5))
    try write(4)
    try story.wait("a second snapshot") { ((try? snapshot()) ?? 0) > first }
    let second = try snapshot()
    // So much that it does not wait.
    try write(40)
    try story.wait("a third snapshot", within: .seconds(5)) { ((try? snapshot()) ?? 0) > second }
  }
}
