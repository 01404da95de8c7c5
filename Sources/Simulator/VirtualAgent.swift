import Base
import Client
import Server

/// One agent: its machines while it runs, and what outlives it.
public final class VirtualAgent {
  public let number: Int
  public internal(set) var plan: AgentPlan
  /// Id of the server, made at its first start.
  public internal(set) var serverID: String
  public internal(set) var server: ServerMachine?
  public internal(set) var client: ClientMachine?
  public internal(set) var isRunning = false
  /// Grows with each start; what belongs to an earlier life is ignored.
  public internal(set) var life = 0
  /// No process, and no kernel that would tell peers so.
  public internal(set) var isWithoutPower = false
  /// The sentence with which the agent ended by itself.
  public internal(set) var fatal: String?
  /// Set when a graceful leave came to its end.
  public internal(set) var hasLeft: Bool?
  public internal(set) var answers: [LocalCallID: Result<[UInt8], RPCErrorMessage>] = [:]
  public internal(set) var joinAnswers: [LocalCallID: (joined: Int, failures: [String])] = [:]

  var effects: Effects
  let disk = VirtualDisk()
  var streams: [ConnectionID: VirtualStream.Handle] = [:]
  var wakeAt: Instant?
  var lastWake = Instant.start
  var wakesAtOnce = 0
  var nextCall: UInt64 = 1
  /// How far the civil clock is off.
  var clockSkew = Interval.zero
  var diskLatency = (Interval.microseconds(100), Interval.milliseconds(4))

  init(number: Int, plan: AgentPlan, random: inout RandomSource) {
    self.number = number
    self.plan = plan
    serverID = random.uuid()
    effects = Effects(seed: 0)
    if plan.client != nil { disk.client = ClientPersistedState(nodeID: random.uuid(), secretID: random.uuid()) }
  }

  /// Running as a server.
  public var isServing: Bool { isRunning && plan.server != nil }
  /// Node id of the client.
  public var nodeID: String { disk.client?.nodeID ?? "" }

  /// The first configuration as this server has it on disk, if it has any log.
  public var hasRaftState: Bool { disk.hardState.term > 0 || !disk.entries.isEmpty }
}
