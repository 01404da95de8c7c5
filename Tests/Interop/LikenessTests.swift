import Base
import HTTP
import Harness
import Testing

/// Debian's Serf agent and a machine of ours get the same bytes from members that a script plays, and must answer
/// alike. What each did is a transcript; the two must be equal line by line.
@Suite(.serialized, .enabled(if: SerfAgent.isInstalled, "needs Debian's package serf"), .timeLimit(.minutes(10)))
struct LikenessTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory(prefix: "interop-likeness") }

  @Test func theSameBytesGetTheSameAnswers() throws { try compare(keys: []) { try $0.play() } }

  @Test func theSameSealedBytesGetTheSameAnswers() throws {
    try compare(keys: [[UInt8](repeating: 1, count: 32)]) { try $0.playSealed() }
  }

  @Test func theyJoinSpeakAndLeaveAlike() throws { try compare(keys: []) { try $0.playJourney() } }

  /// The one difference, which is meant: memberlist counts who reads of a suspicion as an accuser, which makes its
  /// timeouts shorter than the evidence is good; ours counts those who probed in vain.
  @Test func onlyMemberlistCountsHearsay() throws {
    let (theirs, ours) = try transcripts(keys: []) { try $0.playRepeatedSuspicion() }
    let suspicion = "suspicion: suspect victim 1 from speaker"
    #expect(theirs == [suspicion, "suspicion in a list: suspect victim 1 from target"])
    #expect(ours == [suspicion, "suspicion in a list: silence"])
  }

  private func compare(keys: [[UInt8]], _ play: (LikenessScript) throws -> [String]) throws {
    let (theirs, ours) = try transcripts(keys: keys, play)
    #expect(theirs.count == ours.count)
    for (their, our) in zip(theirs, ours) { #expect(our == their) }
  }

  /// Of an agent and of a machine.
  private func transcripts(
    keys: [[UInt8]], _ play: (LikenessScript) throws -> [String]
  ) throws -> ([String], [String]) {
    let agent = try SerfAgent(
      "target", tags: ["kind": "target"], key: keys.first.map { Base64.encode($0.bytes) }, in: directory)
    let agentStage = Stage()
    agentStage.enter(agent)
    // The one that Nomad's servers announce.
    try agent.start(serfProtocol: 4)
    try agentStage.wait("the agent starts", state: { agent.log }) { !agent.view.isEmpty }
    let theirs = try play(LikenessScript(target: agent, at: agent.address, keys: keys, on: agentStage))

    let machine = try MachineMember("target", tags: ["kind": "target"], keys: keys)
    let machineStage = Stage()
    machineStage.enter(machine)
    try machine.start()
    let ours = try play(LikenessScript(target: machine, at: machine.address, keys: keys, on: machineStage))
    return (theirs, ours)
  }
}
