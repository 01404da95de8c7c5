import Base
import FoundationEssentials

/// The outcome of `nomad-bench rpc`, as text and as JSON. Times are in milliseconds, memory in bytes.
struct RPCReport: Encodable {
  struct Memory: Encodable {
    var empty: Int
    /// All connections established.
    var connected: Int
    /// Every client registered as a node.
    var registered: Int
    /// Every client waits for work.
    var waiting: Int
    var perConnection: Double
    var perNode: Double
    var perWaitingQuery: Double
    var perClient: Double
  }

  var method: String
  var address: String
  var connections: Int
  var streams: Int
  var calls: UInt64 = 0
  var seconds = 0.0
  var callsPerSecond = 0.0
  var p50Millis = 0.0
  var p99Millis = 0.0
  var p999Millis = 0.0
  var maxMillis = 0.0
  var errors = 0
  var firstError: String?
  var memory: Memory?
  /// Processor time of the server for one call.
  var serverMicrosPerCall: Double?
  var disk: DiskProbe?

  init(_ command: RPCCommand) {
    method = command.method.rawValue
    address = command.address
    connections = command.connections
    streams = command.method == .idle ? 1 : command.streams
  }

  mutating func fill(_ load: RPCLoad, elapsed: Interval) {
    calls = load.times.count
    seconds = elapsed.seconds
    callsPerSecond = seconds > 0 ? Double(calls) / seconds : 0
    p50Millis = load.times.quantile(0.5).milliseconds
    p99Millis = load.times.quantile(0.99).milliseconds
    p999Millis = load.times.quantile(0.999).milliseconds
    maxMillis = load.times.maximum.milliseconds
    errors = load.errors
    firstError = load.firstError
  }

  mutating func setProcessorTime(_ time: Interval) {
    if calls > 0 { serverMicrosPerCall = time.milliseconds * 1000 / Double(calls) }
  }

  /// Nothing without a process to look at.
  mutating func setMemory(empty: Int?, connected: Int?, registered: Int?, waiting: Int?) {
    guard let empty, let connected, let registered, let waiting else { return }
    func share(_ from: Int, _ to: Int) -> Double { Double(to - from) / Double(connections) }
    memory = Memory(
      empty: empty, connected: connected, registered: registered, waiting: waiting,
      perConnection: share(empty, connected), perNode: share(connected, registered),
      perWaitingQuery: share(registered, waiting), perClient: share(empty, waiting))
  }

  var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
  }

  var text: String {
    var lines = ["\(method) of \(address), \(connections) connections, \(streams) streams each"]
    if let memory {
      lines += [
        "resident before   \(memory.empty / 1024) KiB",
        "resident after    \(memory.waiting / 1024) KiB",
        "a connection      \(decimal(memory.perConnection, places: 0)) bytes",
        "a node            \(decimal(memory.perNode, places: 0)) bytes",
        "a waiting query   \(decimal(memory.perWaitingQuery, places: 0)) bytes",
        "an idle client    \(decimal(memory.perClient, places: 0)) bytes",
      ]
    } else if method != LoadMethod.idle.rawValue {
      lines += [
        "calls/s  \(decimal(callsPerSecond, places: 0))  (\(calls) in \(decimal(seconds, places: 1)) s)",
        "p50      \(decimal(p50Millis, places: 3)) ms",
        "p99      \(decimal(p99Millis, places: 3)) ms",
        "p99.9    \(decimal(p999Millis, places: 3)) ms",
        "max      \(decimal(maxMillis, places: 3)) ms",
      ]
      if let serverMicrosPerCall {
        lines.append("server   \(decimal(serverMicrosPerCall, places: 1)) us of processor time a call")
      }
      if let disk {
        lines.append(
          "disk     one fdatasync p50 \(decimal(disk.p50Millis, places: 3)) ms, p99 "
            + "\(decimal(disk.p99Millis, places: 3)) ms, \(decimal(disk.perSecond, places: 0)) a second")
      }
    }
    lines.append("errors   \(errors)" + (firstError.map { ": \($0)" } ?? ""))
    return lines.joined(separator: "\n") + "\n"
  }
}
