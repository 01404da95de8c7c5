import Base

/// Servers in the order in which they are tried. Calls go to the first; one that fails moves to the end.
struct ServerList: Hashable, Sendable {
  private(set) var addresses: [SocketAddress] = []

  var first: SocketAddress? { addresses.first }
  var isEmpty: Bool { addresses.isEmpty }
  var count: Int { addresses.count }

  init(_ addresses: [SocketAddress]) { self.addresses = Self.unique(addresses) }

  mutating func moveToEnd(_ address: SocketAddress) {
    guard let position = addresses.firstIndex(of: address) else { return }
    addresses.remove(at: position)
    addresses.append(address)
  }

  mutating func moveToFront(_ address: SocketAddress) {
    guard let position = addresses.firstIndex(of: address), position > 0 else { return }
    addresses.remove(at: position)
    addresses.insert(address, at: 0)
  }

  /// Adds those that are new, at the end. True if there was one.
  mutating func append(_ more: [SocketAddress]) -> Bool {
    let before = addresses.count
    addresses = Self.unique(addresses + more)
    return addresses.count > before
  }

  mutating func shuffle(using random: inout RandomSource) { addresses.shuffle(using: &random) }

  /// Takes over a list from a server; equal as a set means no change, so that the order survives. Otherwise the list is
  /// shuffled, to spread clients, but the server in use stays first if it is in it: moving would break a session that
  /// works. True if something changed.
  mutating func replace(with list: [SocketAddress], using random: inout RandomSource) -> Bool {
    var fresh = Self.unique(list)
    guard Set(fresh) != Set(addresses) else { return false }
    let current = addresses.first
    fresh.shuffle(using: &random)
    addresses = fresh
    if let current { moveToFront(current) }
    return true
  }

  private static func unique(_ list: [SocketAddress]) -> [SocketAddress] {
    var seen: Set<SocketAddress> = []
    return list.filter { seen.insert($0).inserted }
  }
}
