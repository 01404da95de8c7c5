import Base
import Client
import Durable
import Reactor
import Wire

/// A client's identity and its last server list: one small file, replaced whenever the list changes.
final class ClientStorage {
  private let file: SmallFile?
  private let lock: DirectoryLock?

  /// `directory` nil: nothing is kept.
  init(directory: String?) throws(DurableError) {
    lock = try directory.map { path throws(DurableError) in try DirectoryLock(path) }
    file = directory.map { SmallFile($0 + "/client-state") }
  }

  /// The identity of the last life, or a new one from the operating system's randomness: the secret is one.
  func load() throws(DurableError) -> ClientPersistedState {
    if let bytes = try file?.readChecked() {
      do throws(WireError) { return try ClientPersistedState(decoding: bytes.bytes) } catch {
        throw .damaged(path: file?.path ?? "", what: "it cannot be decoded (\(error))")
      }
    }
    let seeds: (UInt64, UInt64)
    do throws(LoopError) { seeds = (try Loop.randomSeed(), try Loop.randomSeed()) } catch {
      throw .failed(operation: "draw a node identity for", path: file?.path ?? "the client", reason: "\(error)")
    }
    var node = RandomSource(seed: seeds.0)
    var secret = RandomSource(seed: seeds.1)
    let state = ClientPersistedState(nodeID: node.uuid(), secretID: secret.uuid())
    try file?.replaceChecked(state.encoded())
    return state
  }

  func save(_ state: ClientPersistedState) throws(DurableError) { try file?.replaceChecked(state.encoded()) }
}
