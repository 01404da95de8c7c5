import Base

/// The servers that gossip shows, of every region: who can be called, and who is told to clients.
public struct ServerDirectory: Sendable {
  private var entries: [String: ServerEntry] = [:]
  let ownRegion: String

  public init(ownRegion: String) { self.ownRegion = ownRegion }

  public subscript(name: String) -> ServerEntry? { entries[name] }

  /// Returns true when something that matters to others changed.
  @discardableResult
  public mutating func update(_ entry: ServerEntry) -> Bool {
    entries.updateValue(entry, forKey: entry.gossipName) != entry
  }

  @discardableResult
  public mutating func remove(_ name: String) -> Bool { entries.removeValue(forKey: name) != nil }

  /// All entries, sorted by gossip name.
  public var all: [ServerEntry] { entries.values.sorted { $0.gossipName < $1.gossipName } }

  /// Servers of the own region, any status.
  public var local: [ServerEntry] { all.filter { $0.region == ownRegion } }

  /// The list that clients get: without witnesses, as long as there is anybody else.
  public var forClients: [ServerEntry] {
    let full = localAlive.filter { !$0.isWitness }
    return full.isEmpty ? localAlive : full
  }

  /// Alive servers of the own region.
  public var localAlive: [ServerEntry] { local.filter { $0.status == .alive } }

  public func alive(inRegion region: String) -> [ServerEntry] {
    all.filter { $0.region == region && $0.status == .alive }
  }

  /// Sorted names of regions with an alive server, always with the own one (cluster.md 12).
  public var regions: [String] {
    Set(entries.values.filter { $0.status == .alive }.map(\.region) + [ownRegion]).sorted()
  }

  /// Whether gossip shows any server of the region, alive or not.
  public func hasServer(ofRegion region: String) -> Bool { entries.values.contains { $0.region == region } }

  /// The lowest Raft protocol among alive servers of the own region; 0 counts as 1.
  public var minimumRaftVersion: Int { localAlive.map { max(1, $0.raftVersion) }.min() ?? 1 }

  public func server(id: String) -> ServerEntry? { local.first { $0.id == id } }
  public func server(address: SocketAddress) -> ServerEntry? { local.first { $0.address == address } }
}
