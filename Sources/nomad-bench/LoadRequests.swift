import Base
import Wire

/// The bodies of the requests that `nomad-bench rpc` sends. Nodes are made up from a number, so that a second run meets
/// those of the first and the server's state does not grow from run to run.
struct LoadRequests {
  /// Waits longer than any index of a query: the server holds it until its time is up.
  private static let lateIndex: UInt64 = 1 << 62

  let firstNode: Int
  let region: String
  /// The nodes ask to be told of servers over their connection.
  var takesPushes = false

  init(_ method: LoadMethod, region: String) {
    firstNode = method == .idle ? 1_000_000 : 0
    self.region = region
  }

  func name(of method: LoadMethod) -> String {
    switch method {
    case .ping: "Status.Ping"
    case .heartbeat: "Node.UpdateStatus"
    case .register: "Node.Register"
    case .idle: "Node.GetClientAllocs"
    }
  }

  /// `number` counts the streams of the run.
  func body(of method: LoadMethod, number: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    switch method {
    case .ping: bytes.packMapHeader(0)
    case .heartbeat:
      ClientRequest.encodeUpdateStatus(
        nodeID: id(number), status: "ready", WriteRequest(region: region), into: &bytes)
    case .register: node(number).encodeRegister(WriteRequest(region: region), into: &bytes)
    case .idle:
      var query = QueryOptions(region: region, allowStale: true)
      query.minimumQueryIndex = Self.lateIndex
      query.maximumQueryTime = .minutes(5)
      ClientRequest.encodeGetClientAllocations(
        nodeID: id(number), secretID: id(number), query, into: &bytes)
    }
    return bytes
  }

  /// A registration of a made-up node under a name.
  func registration(number: Int, name: String) -> [UInt8] {
    var node = node(number)
    node.name = name
    var bytes: [UInt8] = []
    node.encodeRegister(WriteRequest(region: region), into: &bytes)
    return bytes
  }

  private func id(_ number: Int) -> String {
    // Spread over all ids, as those of real nodes are: every number has its own, because the factor is coprime.
    let digits = String((firstNode + number) * 7_919_000_003 % 1_000_000_000_000)
    return "6e6f6d61-642d-4265-8e63-" + String(repeating: "0", count: 12 - digits.count) + digits
  }

  private func node(_ number: Int) -> NodeDescription {
    var node = NodeDescription(
      id: id(number), secretID: id(number), name: "bench-\(firstNode + number)", datacenter: "dc1",
      httpAddress: "127.0.0.1:4646")
    node.attributes = [
      NodeAttribute("cpu.arch", "amd64"), NodeAttribute("kernel.name", "linux"),
      NodeAttribute("nomad.version", "1.6.0"), NodeAttribute("unique.hostname", node.name),
    ]
    if takesPushes { node.attributes.append(ServersChanged.attribute) }
    node.status = "ready"
    return node
  }
}
