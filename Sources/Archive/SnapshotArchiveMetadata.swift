import Base
import HTTP
import Wire

/// `meta.json` of an archive (http.md 8.6).
public struct SnapshotArchiveMetadata: Hashable, Sendable {
  /// `<term>-<index>-<unix milliseconds>`
  public var id: String
  public var index: LogIndex
  public var term: Term
  public var configuration: RaftConfiguration
  public var configurationIndex: LogIndex
  /// Bytes of the state.
  public var size: Int
  public var version: Int64 = 1

  public init(
    index: LogIndex, term: Term, configuration: RaftConfiguration, configurationIndex: LogIndex, size: Int,
    unixMilliseconds: Int64
  ) {
    id = "\(term)-\(index)-\(unixMilliseconds)"
    self.index = index
    self.term = term
    self.configuration = configuration
    self.configurationIndex = configurationIndex
    self.size = size
  }

  /// One line of JSON, in Go's order of fields.
  var encoded: [UInt8] {
    let servers = configuration.servers.map { server -> JSONValue in
      ["Suffrage": .integer(server.suffrage.rawValue), "ID": .string(server.id), "Address": .string(server.address)]
    }
    let value: JSONValue = [
      "Version": .integer(version), "ID": .string(id), "Index": .unsigned(index.value), "Term": .unsigned(term.value),
      "Peers": .string(Base64.encode(configuration.encodedPeers.borrowedBytes)),
      "Configuration": ["Servers": .array(servers)], "ConfigurationIndex": .unsigned(configurationIndex.value),
      "Size": .integer(Int64(size)),
    ]
    return Array((value.text() + "\n").utf8)
  }

  init(decoding bytes: [UInt8]) throws(SnapshotArchive.Failure) {
    func fail(_ what: String) -> SnapshotArchive.Failure {
      .unusable("failed to read snapshot file: failed to decode snapshot metadata: \(what)")
    }
    let value: JSONValue
    do throws(JSONError) { value = try JSONValue(parsing: bytes) } catch { throw fail(error.text) }
    guard let version = value["Version"]?.integer, (0...1).contains(version) else { throw fail("unknown Version") }
    guard let id = value["ID"]?.string, id.utf8.count <= 256 else { throw fail("no ID") }
    guard let index = value["Index"]?.unsigned, index > 0, index < UInt64(Int64.max) else { throw fail("no Index") }
    guard let term = value["Term"]?.unsigned else { throw fail("no Term") }
    guard let size = value["Size"]?.integer, size >= 0 else { throw fail("no Size") }
    var servers: [RaftServer] = []
    let listed = value["Configuration"]?["Servers"]?.array ?? []
    guard listed.count <= RaftWire.maximumServers else { throw fail("too many servers") }
    for server in listed {
      guard let id = server["ID"]?.string, let address = server["Address"]?.string,
        let suffrage = RaftServer.Suffrage(rawValue: server["Suffrage"]?.integer ?? 0)
      else { throw fail("Configuration") }
      servers.append(RaftServer(id: id, address: address, suffrage: suffrage))
    }
    self.version = version
    self.id = id
    self.index = LogIndex(index)
    self.term = Term(term)
    self.size = Int(clamping: size)
    configuration = RaftConfiguration(servers)
    configurationIndex = LogIndex(value["ConfigurationIndex"]?.unsigned ?? 0)
  }
}
