import Base

/// One server of a `peers.json`.
public struct RecoveryPeer: Hashable, Sendable {
  /// The Raft id: a UUID under protocol 3, the address under protocol 2.
  public var id: String
  /// `ip:port` of the server's RPC listener.
  public var address: String
  public var isVoter: Bool

  public init(id: String, address: String, isVoter: Bool = true) {
    self.id = id
    self.address = address
    self.isVoter = isVoter
  }
}

/// The file `peers.json`, by which an operator gives a server that lost its quorum a new Raft configuration, in both
/// forms of Nomad (raft.md section 10): a list of addresses (Raft protocol 2), and a list of objects (protocol 3).
///
/// Read strictly: a typing error in this file could make two clusters of one, so nothing is guessed and nothing unknown
/// is passed over.
public enum RecoveryPeers {
  /// No region has as many servers.
  public static let maximumServers = 256

  /// Reads the file. `path` is named in errors, with line and column.
  public static func parse(_ bytes: [UInt8], path: String) throws(ConfigurationError) -> [RecoveryPeer] {
    let list = try JSONParser.parseList(try SourceText(bytes, path: path), of: "peers.json")
    let start = SourcePlace.file(path: path, line: 1, column: 1)
    guard !list.isEmpty else {
      throw ConfigurationError("the list is empty; name every server that the cluster shall have", at: start)
    }
    guard list.count <= maximumServers else {
      throw ConfigurationError("the list has \(list.count) servers; at most \(maximumServers) are possible", at: start)
    }
    var peers: [RecoveryPeer] = []
    for element in list {
      let peer = try peer(element)
      if let double = peers.first(where: { $0.id == peer.id || $0.address == peer.address }) {
        let what = double.id == peer.id ? "id \(peer.id.quoted)" : "address \(peer.address.quoted)"
        throw ConfigurationError("the \(what) stands here twice; name each server once", at: element.place)
      }
      peers.append(peer)
    }
    guard peers.contains(where: \.isVoter) else {
      throw ConfigurationError(
        "no server in the list is a voter; set \"non_voter\" to false for at least one", at: start)
    }
    return peers
  }

  private static func peer(_ value: Value) throws(ConfigurationError) -> RecoveryPeer {
    switch value.kind {
    case .text(let text):
      let address = try address(text, at: value.place)
      return RecoveryPeer(id: address, address: address)
    case .block(let block): return try peer(block, at: value.place)
    case .number, .boolean, .list:
      throw ConfigurationError(
        "found \(value.words) where a server should be; write {\"id\": \"...\", \"address\": \"ip:port\", "
          + "\"non_voter\": false}, or \"ip:port\" for Raft protocol 2", at: value.place)
    }
  }

  private static func peer(_ block: Block, at place: SourcePlace) throws(ConfigurationError) -> RecoveryPeer {
    var id: String?
    var address: String?
    var isVoter = true
    var seen: Set<String> = []
    for item in block.items {
      guard seen.insert(item.key).inserted else {
        throw ConfigurationError("the key \(item.key.quoted) stands here twice; keep one", at: item.place)
      }
      switch (item.key, item.value.kind) {
      case ("id", .text(let text)):
        guard !text.isEmpty else {
          throw ConfigurationError("the id is empty; give the server's Raft id", at: item.place)
        }
        id = text
      case ("address", .text(let text)): address = try Self.address(text, at: item.value.place)
      case ("non_voter", .boolean(let flag)): isVoter = !flag
      case ("id", _), ("address", _):
        throw ConfigurationError(
          "found \(item.value.words) for \(item.key.quoted); write a text in double quotes", at: item.value.place)
      case ("non_voter", _):
        throw ConfigurationError(
          "found \(item.value.words) for \"non_voter\"; write true or false", at: item.value.place)
      default:
        throw ConfigurationError(
          "the key \(item.key.quoted) is unknown; a server has \"id\", \"address\" and \"non_voter\"", at: item.place)
      }
    }
    guard let id else { throw ConfigurationError("this server has no \"id\"; add its Raft id", at: place) }
    guard let address else { throw ConfigurationError("this server has no \"address\"; add its ip:port", at: place) }
    return RecoveryPeer(id: id, address: address, isVoter: isVoter)
  }

  private static func address(_ text: String, at place: SourcePlace) throws(ConfigurationError) -> String {
    guard let address = SocketAddress(text), address.port != 0, !address.host.isUnspecified else {
      throw ConfigurationError(
        "\(text.quoted) is no address of a server; write ip:port of its RPC listener, such as \"10.0.0.5:4647\"",
        at: place)
    }
    // Raft compares addresses as text, in the form in which servers announce them.
    return "\(address)"
  }

  /// The content of a `peers.json`. `legacy` writes the list of addresses, where the servers allow it.
  public static func text(_ peers: [RecoveryPeer], legacy: Bool) -> [UInt8] {
    let isPlain = legacy && peers.allSatisfy { $0.isVoter && $0.id == $0.address }
    let lines = peers.map { peer in
      isPlain
        ? "  \(quote(peer.address))"
        : "  {\"id\": \(quote(peer.id)), \"address\": \(quote(peer.address)), \"non_voter\": \(!peer.isVoter)}"
    }
    return Array("[\n\(lines.joined(separator: ",\n"))\n]\n".utf8)
  }

  private static func quote(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
