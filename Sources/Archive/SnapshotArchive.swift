import Base
import HTTP
import Security
import Wire

/// A snapshot of the replicated state in the archive that Nomad's operators know (raft.md 9.2, http.md 8.6): a gzip'd
/// tar of `meta.json`, `state.bin` and `SHA256SUMS`.
public struct SnapshotArchive: Hashable, Sendable {
  public var metadata: SnapshotArchiveMetadata
  /// Records in the format of raft.md 9.3.
  public var state: [UInt8]

  /// Largest state that is taken out of an archive.
  public static let maximumStateBytes = 1 << 30
  /// No honest state shrinks more than this: every record holds random ids. A file that expands more is a bomb.
  public static let maximumExpansion = 400
  /// Below this size any expansion is harmless.
  static let expansionFreeBytes = 16 << 20

  public init(metadata: SnapshotArchiveMetadata, state: [UInt8]) {
    self.metadata = metadata
    self.state = state
  }

  public enum Failure: Error, Hashable, Sendable {
    /// Text as Nomad words it, without what was attempted.
    case unusable(String)

    public var text: String {
      switch self {
      case .unusable(let text): text
      }
    }
  }

  private static let metadataName = "meta.json"
  private static let stateName = "state.bin"
  private static let sumsName = "SHA256SUMS"

  // MARK: Writing

  /// The archive's bytes. `unixSeconds` is the time of its files.
  public func encoded(unixSeconds: Int64) throws(Failure) -> [UInt8] {
    let description = metadata.encoded
    let sums = try "\(Self.sum(description))  \(Self.metadataName)\n\(Self.sum(state))  \(Self.stateName)\n"
    let files = [
      Tar.File(name: Self.metadataName, content: description), Tar.File(name: Self.stateName, content: state),
      Tar.File(name: Self.sumsName, content: Array(sums.utf8)),
    ]
    guard let bytes = Gzip.compress(Tar.encode(files, unixSeconds: unixSeconds)) else {
      throw .unusable("failed to compress snapshot")
    }
    return bytes
  }

  /// `sha-256=` and the base64 of the digest of an archive's bytes: the HTTP header and the RPC field.
  public static func digest(of archive: [UInt8]) throws(Failure) -> String {
    guard let digest = SHA256.digest(archive) else { throw .unusable("SHA-256 is not available") }
    return "sha-256=" + Base64.encode(digest.borrowedBytes)
  }

  private static func sum(_ bytes: [UInt8]) throws(Failure) -> String {
    guard let digest = SHA256.digest(bytes) else { throw .unusable("SHA-256 is not available") }
    return digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  // MARK: Reading

  /// Reads and checks an archive wholly: compression, container, checksums of both parts, and the description.
  public init(decoding bytes: [UInt8]) throws(Failure) {
    let (multiplied, overflow) = bytes.count.multipliedReportingOverflow(by: Self.maximumExpansion)
    let allowed = overflow ? Int.max : max(multiplied, Self.expansionFreeBytes)
    let limit = min(allowed, Self.maximumStateBytes + (1 << 20))
    let content: [UInt8]
    do throws(Gzip.Failure) { content = try Gzip.expand(bytes, limit: limit) } catch {
      switch error {
      case .empty, .invalidHeader: throw .unusable("failed to decompress snapshot: \(error.text)")
      case .truncated where bytes.count < 18: throw .unusable("failed to decompress snapshot: \(error.text)")
      case .truncated:
        throw .unusable("failed to read snapshot file: failed to read or write snapshot data: \(error.text)")
      case .invalidData, .tooLarge: throw .unusable("failed to read snapshot file: \(error.text)")
      }
    }
    let files: [Tar.File]
    do throws(Tar.Failure) { files = try Tar.decode(content) } catch {
      throw .unusable("failed to read snapshot file: \(error.text)")
    }
    func only(_ name: String) throws(Failure) -> [UInt8] {
      let found = files.filter { $0.name == name }
      guard found.count == 1, let file = found.first else {
        throw .unusable("failed to read snapshot file: it has \(found.isEmpty ? "no" : "more than one") \(name)")
      }
      return file.content
    }
    if let other = files.first(where: { ![Self.metadataName, Self.stateName, Self.sumsName].contains($0.name) }) {
      throw .unusable("failed to read snapshot file: unexpected file \"\(other.name)\" in snapshot")
    }
    let description = try only(Self.metadataName)
    let state = try only(Self.stateName)
    try Self.check(try only(Self.sumsName), [(Self.metadataName, description), (Self.stateName, state)])
    let metadata = try SnapshotArchiveMetadata(decoding: description)
    guard metadata.size == state.count else {
      throw .unusable(
        "failed to read snapshot file: \(Self.metadataName) says \(metadata.size) bytes, \(Self.stateName) has "
          + "\(state.count)")
    }
    self.init(metadata: metadata, state: state)
  }

  private static func check(_ sums: [UInt8], _ files: [(name: String, content: [UInt8])]) throws(Failure) {
    var expected: [String: String] = [:]
    for line in String(decoding: sums, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard words.count == 2, expected.updateValue(String(words[0]), forKey: String(words[1])) == nil else {
        throw .unusable("failed checking integrity of snapshot: malformed list of hashes")
      }
    }
    for file in files {
      guard let hash = expected.removeValue(forKey: file.name) else {
        throw .unusable("failed checking integrity of snapshot: list of hashes lacks \"\(file.name)\"")
      }
      guard hash.lowercased() == (try sum(file.content)) else {
        throw .unusable("failed checking integrity of snapshot: hash check failed for \"\(file.name)\"")
      }
    }
    if let name = expected.keys.sorted().first {
      throw .unusable("failed checking integrity of snapshot: list of hashes names \"\(name)\", which is not there")
    }
  }
}
