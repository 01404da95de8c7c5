import Base
import Harness
import Testing

/// Servers of both kinds, and what must be true of them.
final class MixedRegion {
  static let isInstalled =
    ["raft", "raft-boltdb", "serf", "yamux", "net-rpc-msgpackrpc"].allSatisfy {
      Installed.path("\(GoPeer.libraryPath)/src/github.com/hashicorp/\($0)")
    } && Installed.command("go")

  let stage = Stage()
  let directory: TemporaryDirectory
  private(set) var servers: [RegionServer] = []
  private let original: String
  private let own: String
  /// Registers clients; its region is of its own.
  private let registrar: RegionServer
  private var registered = 0

  init() throws {
    directory = try TemporaryDirectory(prefix: "interop-region")
    original = try GoPeer.build("originalserver", in: directory, on: stage)
    own = try Installed.ownProgram("nomadd")
    registrar = try RegionServer(.original, "registrar", expect: 0, program: original, in: directory)
    try registrar.start(joining: [])
  }

  var originals: [RegionServer] { servers.filter { $0.kind == .original } }
  var ours: [RegionServer] { servers.filter { $0.kind == .nomadd } }
  var running: [RegionServer] { servers.filter(\.isRunning) }
  var account: String { servers.map(\.account).joined(separator: "\n") }

  /// Adds one that does not run yet. All get to know all that were added before any started.
  @discardableResult
  func add(
    _ kind: RegionServer.Kind, expect: Int, protocolVersion: Int = 3, options: [String] = [], extra: String = ""
  ) throws -> RegionServer {
    let program = kind == .original ? original : own
    let server = try RegionServer(
      kind, "\(kind)\(servers.count + 1)", expect: expect, protocolVersion: protocolVersion, program: program,
      options: options, extra: extra, in: directory)
    servers.append(server)
    return server
  }

  func start(_ server: RegionServer) throws { try server.start(joining: servers) }

  func wait(_ what: String, within limit: Interval = .seconds(30), until condition: () throws -> Bool) throws {
    try stage.wait(what, within: limit, state: { account }) {
      if let end = servers.lazy.compactMap(\.unexpectedEnd).first { throw end }
      return try condition()
    }
  }

  /// Everybody that runs names the same leader, one of them.
  @discardableResult
  func awaitLeader(other than: RegionServer? = nil, within limit: Interval = .seconds(30)) throws -> RegionServer {
    var found: RegionServer?
    try wait("one leader", within: limit) {
      let names = Set(try running.map { try $0.leader(on: stage) })
      guard names.count == 1, let name = names.first else { return false }
      found = running.first { $0.rpcAddress == name && $0 !== than }
      return found != nil
    }
    guard let found else { throw HarnessError.timedOut("one leader") }
    return found
  }

  /// Hands leadership to a server of a kind that is not among these. One that lags may refuse; ask again later.
  func handOver(from leader: RegionServer, toOneBeside kinds: Set<RegionServer.Kind>) throws {
    guard kinds.contains(leader.kind), let heir = servers.first(where: { !kinds.contains($0.kind) }) else { return }
    let line = try leader.configuration(on: stage).first { $0.contains(" \(heir.rpcAddress) ") }
    guard let id = line?.prefix(while: { $0 != " " }) else { return }
    let target =
      switch leader.kind {
      case .original: "/transfer?id=\(id)&address=\(heir.rpcAddress)"
      case .nomadd: "/v1/operator/raft/transfer-leadership?id=\(id)"
      }
    _ = try leader.ask(target, "POST", on: stage)
  }

  /// One configuration, of all servers, all of them voters.
  func awaitOneConfiguration(within limit: Interval = .seconds(30)) throws {
    try wait("one configuration of \(servers.count) voters", within: limit) {
      let views = Set(try running.map { try $0.configuration(on: stage) })
      guard views.count == 1, let view = views.first else { return false }
      return view.count == servers.count && view.allSatisfy { $0.hasSuffix(" Voter") }
    }
  }

  /// Everybody sees everybody alive, with the same tags, and each server of the original takes each for a server.
  func awaitOnePool() throws {
    try wait("one pool") {
      let views = Set(try running.map { try $0.members(on: stage) })
      guard views.count == 1, let view = views.first else { return false }
      return view.count == servers.count && view.allSatisfy { $0.contains(" alive ") }
    }
    for server in originals where server.isRunning {
      #expect(try server.ask("/state", on: stage)?["Strangers"].text == "map[]")
    }
  }

  // MARK: Clients

  /// Starts to register clients at these servers (all, if none are named) in turn, each until it is confirmed.
  func register(_ count: Int, at named: [RegionServer] = []) throws {
    try wait("the registrar") { try registrar.ask("/state", on: stage) != nil }
    registered += count
    let addresses = (named.isEmpty ? servers : named).map(\.rpcAddress).joined(separator: ",")
    _ = try registrar.ask("/register?at=\(addresses)&prefix=to-\(registered)&count=\(count)", "POST", on: stage)
  }

  /// All registrations are confirmed, and all that run hold the same.
  func awaitAgreement(within limit: Interval = .seconds(60)) throws {
    try wait("\(registered) registrations", within: limit) {
      try registrar.ask("/state", on: stage)?["Registered"].number == Double(registered)
    }
    var views: [(server: String, nodes: [String])] = []
    do {
      try wait("the same \(registered) nodes everywhere", within: limit) {
        views = try running.map { ($0.name, try $0.nodes(on: stage)) }
        return Set(views.map(\.nodes)).count == 1 && views.first?.nodes.count == registered
      }
    } catch HarnessError.timedOut(let what) {
      throw HarnessError.timedOut("\(Self.difference(views)): \(what)")
    }
  }

  /// How many nodes each holds, and the first place where two disagree.
  private static func difference(_ views: [(server: String, nodes: [String])]) -> String {
    let counts = views.map { "\($0.server) holds \($0.nodes.count)" }.joined(separator: ", ")
    for (one, other) in zip(views, views.dropFirst()) {
      for (mine, theirs) in zip(one.nodes, other.nodes) where mine != theirs {
        return "\(counts); \(one.server): \(mine); \(other.server): \(theirs)"
      }
    }
    return counts
  }
}
