import ArgumentParser
import Base
import Harness

/// What `nomad-bench rpc` asks of the server.
enum LoadMethod: String, ExpressibleByArgument, CaseIterable {
  case ping, heartbeat, register, idle
}

/// `nomad-bench rpc`: calls a second, latency, and the memory of idle clients.
struct RPCCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rpc",
    abstract: "Measures the RPC port of one server.",
    discussion: """
      ping, heartbeat and register call in a closed loop: every stream sends its next request when it has the answer \
      to the last. heartbeat and register speak for one made-up node per stream; give a server that may be wiped. \
      idle holds connections of clients that wait for work, 100 from each address of 127.64.0.0/10, and with --pid \
      tells what they cost the server in memory. Exit status 1 when a call failed.
      """)

  @Option(help: "ping, heartbeat, register or idle.") var method = LoadMethod.ping
  @Option(help: "The server's RPC address.") var address = "127.0.0.1:4647"
  @Option(help: "Connections.") var connections = 4
  @Option(help: "Streams of each connection.") var streams = 16
  @Option(help: "Time of the measurement; for idle, how long the connections are held.")
  var duration = DurationArgument(.seconds(10))
  @Option(help: "Time before the measurement.") var warmUp = DurationArgument(.seconds(1))
  @Option(help: "The server's region.") var region = "global"
  @Option(help: "The server's process, for its memory and its processor time.") var pid: Int32?
  @Option(help: "A directory on the servers' disk: how long the disk takes for one fdatasync is told too.")
  var probeDisk: String?
  @Option(help: "Write the result as JSON to this file; - for standard output instead of the text.") var json: String?

  func validate() throws {
    guard (1...100_000).contains(connections) else { throw ValidationError("--connections must be 1 to 100000.") }
    guard (1...256).contains(streams) else { throw ValidationError("--streams must be 1 to 256.") }
    guard SocketAddress(address) != nil else { throw ValidationError("--address must be an IP address with a port.") }
  }

  func run() throws {
    guard let target = SocketAddress(address) else { throw ExitCode(64) }
    var report = RPCReport(self)
    do {
      if method == .idle {
        try measureIdle(target, &report)
      } else {
        try measureCalls(target, &report)
      }
    } catch let failure as LoadFailure {
      StandardError.print("nomad-bench: \(failure)")
      throw ExitCode(1)
    }
    switch json {
    case "-": print(try report.json, terminator: "")
    case let path?:
      try FileText.write(try report.json, to: path)
      print(report.text, terminator: "")
    case nil: print(report.text, terminator: "")
    }
    guard report.errors == 0 else { throw ExitCode(1) }
  }

  private func measureCalls(_ target: SocketAddress, _ report: inout RPCReport) throws {
    let load = try RPCLoad(target, requests: LoadRequests(method, region: region))
    defer { load.end() }
    try load.open(connections: connections, streams: streams)
    if method == .heartbeat { try load.callOnce(.register) }
    load.call(method, for: warmUp.interval)
    load.forgetResults()
    if let probeDisk { report.disk = try DiskProbe(directory: probeDisk) }
    let start = MonotonicClock.now()
    let spent = processorTime()
    load.call(method, for: duration.interval)
    report.fill(load, elapsed: MonotonicClock.now() - start)
    if let spent, let now = processorTime() { report.setProcessorTime(now - spent) }
  }

  private func measureIdle(_ target: SocketAddress, _ report: inout RPCReport) throws {
    let empty = residentBytes()
    let load = try RPCLoad(target, requests: LoadRequests(.idle, region: region))
    defer { load.end() }
    try load.open(connections: connections, streams: 1, spreadsSources: true)
    let connected = residentBytes()
    try load.callOnce(.register)
    let registered = residentBytes()
    load.startWaitingQueries()
    load.wait(duration.interval)
    let waiting = residentBytes()
    report.fill(load, elapsed: duration.interval)
    report.setMemory(empty: empty, connected: connected, registered: registered, waiting: waiting)
  }

  /// User and system time of the server so far, all threads.
  private func processorTime() -> Interval? {
    guard let pid, let status = try? FileText.read("/proc/\(pid)/stat"), let end = status.lastIndex(of: ")") else {
      return nil
    }
    // Behind the name: state is field 3, so that user and system time, 14 and 15, are these.
    let fields = status[end...].dropFirst(2).split(separator: " ")
    guard fields.count > 12, let user = Int64(fields[11]), let system = Int64(fields[12]) else { return nil }
    return .milliseconds((user + system) * 10)
  }

  private func residentBytes() -> Int? {
    guard let pid, let status = try? FileText.read("/proc/\(pid)/status") else { return nil }
    for line in status.split(separator: "\n") where line.hasPrefix("VmRSS:") {
      return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }
}
