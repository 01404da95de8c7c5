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
    var standing = Standing.unproven
  }

  enum Standing: Hashable, Sendable {
    /// So far it only asked.
    case unproven
    /// A registration or a heartbeat was accepted over it.
    case accepted
    /// Its registration was refused: another agent has the id.
    case refused
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
    guard let id = sessionsByNode[node]?.last(where: { clients[$0]?.standing == .accepted })
      ?? sessionsByNode[node]?.last(where: { clients[$0]?.standing == .unproven }), let client = clients[id]
    else { return nil }
    return (id, client.since)
  }

  /// The newest session over which the servers accepted the node.
  func acceptedSession(of node: NodeID, except other: SessionID?) -> (id: SessionID, since: WallTime)? {
    guard let id = sessionsByNode[node]?.last(where: { $0 != other && clients[$0]?.standing == .accepted }),
      let client = clients[id]
    else { return nil }
    return (id, client.since)
  }

  /// What the region said to a registration or a heartbeat over this session. O(1).
  mutating func noted(_ session: SessionID, _ standing: Standing) {
    guard let client = clients[session], client.standing != standing else { return }
    clients[session]?.standing = standing
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

extension ServerMachine {
  /// Whether the client has a session with this server, over which it hears at once when servers come and go.
  public func hasSession(of node: NodeID) -> Bool { pushes.session(of: node) != nil }
}
