import Base
import RPC
import State
import Wire

/// Which clients are connected to this server, and what they were last told about the servers.
struct ServerListPush: Sendable {
  static let timeout = Interval.seconds(5)

  private var clients: [SessionID: NodeID] = [:]
  private var order: [SessionID] = []
  /// Sessions in `order` that have ended.
  private var gone = 0
  private var calls: Set<CallID> = []
  private var last: [ServerInfo] = []
  /// Grows with each change of the list.
  private(set) var index: UInt64 = 0

  /// In the order in which the connections were made.
  var sessions: [(SessionID, NodeID)] { order.compactMap { session in clients[session].map { (session, $0) } } }

  func knows(_ session: SessionID) -> Bool { clients[session] != nil }
  func hasSession(of node: NodeID) -> Bool { clients.values.contains(node) }

  mutating func sessionOpened(_ session: SessionID, by node: NodeID) {
    if clients.updateValue(node, forKey: session) == nil { order.append(session) }
  }

  mutating func sessionEnded(_ session: SessionID) {
    guard clients.removeValue(forKey: session) != nil else { return }
    gone += 1
    // Cleaned out now and then, so that many clients that go away at once cost no more than each one.
    guard gone > 64, gone > order.count / 2 else { return }
    order.removeAll { clients[$0] == nil }
    gone = 0
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
