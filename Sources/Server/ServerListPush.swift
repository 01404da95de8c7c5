import Base
import RPC
import State
import Wire

/// Which clients are connected to this server, and what they were last told about the servers.
struct ServerListPush: Sendable {
  static let timeout = Interval.seconds(5)

  private struct Client: Sendable {
    var node: NodeID
    /// Grows with each session: the order in which they were made.
    var number: UInt64
    var since: WallTime
  }

  private var clients: [SessionID: Client] = [:]
  /// The sessions of each node, the newest last. Mostly one.
  private var sessionsByNode: [NodeID: [SessionID]] = [:]
  private var nextNumber: UInt64 = 0
  private var calls: Set<CallID> = []
  private var last: [ServerInfo] = []
  /// Grows with each change of the list.
  private(set) var index: UInt64 = 0

  /// In the order in which the connections were made. O(n log n).
  var sessions: [(SessionID, NodeID)] {
    clients.sorted { $0.value.number < $1.value.number }.map { ($0.key, $0.value.node) }
  }

  func knows(_ session: SessionID) -> Bool { clients[session] != nil }

  /// The newest session of a node and since when it is there.
  func session(of node: NodeID) -> (id: SessionID, since: WallTime)? {
    guard let id = sessionsByNode[node]?.last, let client = clients[id] else { return nil }
    return (id, client.since)
  }

  mutating func sessionOpened(_ session: SessionID, by node: NodeID, at now: WallTime) {
    guard clients[session] == nil else { return }
    clients[session] = Client(node: node, number: nextNumber, since: now)
    nextNumber += 1
    sessionsByNode[node, default: []].append(session)
  }

  mutating func sessionEnded(_ session: SessionID) {
    guard let client = clients.removeValue(forKey: session) else { return }
    sessionsByNode[client.node]?.removeAll { $0 == session }
    if sessionsByNode[client.node]?.isEmpty ?? false { sessionsByNode[client.node] = nil }
  }

  /// The list if it differs from the last one, else nil.
  mutating func changed(_ list: [ServerInfo]) -> [ServerInfo]? {
    guard list != last else { return nil }
    last = list
    index += 1
    return list
  }

  mutating func started(_ call: CallID) { calls.insert(call) }
  /// A client that does not answer learns the list with its next heartbeat.
  mutating func finished(_ call: CallID) { calls.remove(call) }
}
