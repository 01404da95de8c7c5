import ArgumentParser
import Base
import Harness

/// `nomad-bench push`: how soon connected clients know a new server.
struct PushCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "push",
    abstract: "Measures how soon connected clients hold a new server in their list.",
    discussion: """
      Starts three servers, connects clients of the kind that wants to be told (100 from each address of \
      127.64.0.0/10) to the leader, then starts a fourth server that joins, and takes the time until the last client \
      was told of it, counted from the start of that process.
      """)

  @Option(help: "Clients.") var clients = 1
  @Option(help: "The server program; nomadd beside this program if not given.") var agent: String?

  func validate() throws {
    guard (1...16_000).contains(clients) else { throw ValidationError("--clients must be 1 to 16000.") }
  }

  func run() throws {
    let group = try ServerGroup(program: agent ?? ServerGroup.defaultProgram(), servers: 4, expect: 3)
    defer { group.end() }
    do {
      for index in 0..<3 { try group.start(index) }
      let leader = try group.awaitLeader()
      var requests = LoadRequests(.register, region: "global")
      requests.takesPushes = true
      let load = try RPCLoad(group.servers[leader].settings.rpcAddress, requests: requests)
      defer { load.end() }
      try load.open(connections: clients, streams: 1, spreadsSources: true)
      try load.callOnce(.register)
      load.wait(.milliseconds(500))
      load.forgetResults()
      let start = MonotonicClock.now()
      try group.start(3)
      try load.awaitServers(4, since: start)
      let told = [0, 0.5, 1].map { decimal(load.times.quantile($0).milliseconds, places: 1) }
      print("\(clients) clients: first told after \(told[0]) ms, half after \(told[1]) ms, all after \(told[2]) ms")
    } catch let failure as LoadFailure {
      StandardError.print("nomad-bench: \(failure)")
      throw ExitCode(1)
    } catch let error as HarnessError {
      StandardError.print("nomad-bench: \(error)")
      throw ExitCode(1)
    }
  }
}
