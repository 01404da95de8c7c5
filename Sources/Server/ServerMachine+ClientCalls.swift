import Base
import RPC
import State
import Wire

/// Searches for the server that holds a client's connection.
struct ClientSearches: Sendable {
  struct Search: Sendable {
    var caller: Caller
    var method: RPCMethod
    var body: [UInt8]
    var waiting: Int
    /// The server with the newest connection so far.
    var best: (address: SocketAddress, since: GoTime)?
  }

  /// More are refused.
  static let maximum = 4096

  private var searches: [UInt64: Search] = [:]
  private var asked: [CallID: (search: UInt64, address: SocketAddress)] = [:]
  private var next: UInt64 = 0

  var isFull: Bool { searches.count >= Self.maximum }
  var isEmpty: Bool { searches.isEmpty }

  mutating func begin(_ search: Search, calls: [(CallID, SocketAddress)]) {
    searches[next] = search
    for (call, address) in calls { asked[call] = (next, address) }
    next += 1
  }

  /// One server has answered, nil when it holds no connection. Returns the search when it was the last.
  mutating func answered(_ call: CallID, since: GoTime?) -> Search? {
    guard let (number, address) = asked.removeValue(forKey: call), var search = searches[number] else { return nil }
    search.waiting -= 1
    if let since {
      let isNewer = search.best.map { ($0.since.seconds, $0.since.nanoseconds) < (since.seconds, since.nanoseconds) }
      if isNewer ?? true { search.best = (address, since) }
    }
    searches[number] = search.waiting > 0 ? search : nil
    return search.waiting > 0 ? nil : search
  }

  func awaits(_ call: CallID) -> Bool { asked[call] != nil }
}

/// Requests that a client node has to answer: over the connection that it opened, here or at another server of the
/// region (rpc.md section 6).
extension ServerMachine {
  /// For the way to the client and back.
  static let clientCallTimeout = Interval.seconds(10)
  static let connectionQuestionTimeout = Interval.seconds(2)

  /// Precondition: the request is for the own region. Answered from the own state: a node that has just registered may
  /// be unknown here for a moment, which is cheaper than a way over the leader for every question.
  mutating func callClient(_ caller: Caller, _ method: RPCMethod, _ body: RawSpan, _ effects: inout Effects) {
    let text = Self.text("NodeID", of: body)
    guard !text.isEmpty else { return fail(caller, "Must provide the NodeID", &effects) }
    let unknown = "Unknown node \"\(text)\""
    let id: NodeID
    do throws(NodeIDError) { id = try NodeID(text) } catch { return fail(caller, unknown, &effects) }
    guard let node = state.node(id) else { return fail(caller, unknown, &effects) }
    guard let version = Self.version(node.version) else {
      return fail(caller, "Unable to determine Nomad version", &effects)
    }
    guard version.major > 0 || version.minor >= 8 else {
      return fail(caller, "Node does not support RPC; requires 0.8 or later", &effects)
    }
    if let session = pushes.session(of: id) {
      let call = rpc.call(
        method, overSession: session.id, deadline: now.instant + Self.clientCallTimeout, at: now.instant,
        effects: &effects
      ) { $0.append(contentsOf: body) }
      requests.forwarded[call] = caller
      return
    }
    searchConnection(of: text, for: caller, method, body, &effects)
  }

  private mutating func searchConnection(
    of node: String, for caller: Caller, _ method: RPCMethod, _ body: RawSpan, _ effects: inout Effects
  ) {
    let others = directory.localAlive.filter { $0.gossipName != configuration.gossipName }
    guard !others.isEmpty, !clientSearches.isFull else { return fail(caller, "No path to node", &effects) }
    let options = QueryOptions(region: configuration.region, allowStale: true)
    var calls: [(CallID, SocketAddress)] = []
    for server in others {
      let call = rpc.call(
        .statusHasNodeConnection, to: server.address, deadline: now.instant + Self.connectionQuestionTimeout,
        at: now.instant, effects: &effects
      ) { out in
        out.packMapHeader(1 + options.fieldCount)
        out.pack("NodeID" as StaticString)
        out.pack(node)
        options.encodeFields(into: &out)
      }
      calls.append((call, server.address))
    }
    clientSearches.begin(
      ClientSearches.Search(caller: caller, method: method, body: body.copy(), waiting: calls.count), calls: calls)
  }

  /// An answer to `Status.HasNodeConn`.
  mutating func handleConnectionAnswer(
    _ call: CallID, _ outcome: RPCOutcome, in batch: borrowing RPCEventBatch, _ effects: inout Effects
  ) {
    var since: GoTime?
    if case .reply(let range) = outcome { since = Self.connectedSince(batch.bytes(range)) }
    guard let search = clientSearches.answered(call, since: since) else { return }
    guard let best = search.best else { return fail(search.caller, "No path to node", &effects) }
    let options = QueryOptions(region: configuration.region, allowStale: true)
    forward(search.caller, search.method, "", search.body.bytes, to: best.address, options, &effects)
  }

  /// Nil unless the reply says that there is a connection.
  private static func connectedSince(_ reply: RawSpan) -> GoTime? {
    var reader = MessagePackReader(reply)
    var isConnected = false
    var since = GoTime.zero
    do throws(WireError) {
      for _ in 0..<(try reader.readMapHeader()) {
        switch try reader.readString() {
        case "Connected": isConnected = try reader.readBool()
        case "Established": since = try reader.readGoTime()
        default: try reader.skip()
        }
      }
    } catch {
      return nil
    }
    return isConnected ? since : nil
  }

  /// The first two numbers of a version.
  private static func version(_ text: String) -> (major: Int, minor: Int)? {
    let parts = text.split(separator: ".", maxSplits: 2)
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1].prefix { $0.isNumber }) else {
      return nil
    }
    return (major, minor)
  }
}
