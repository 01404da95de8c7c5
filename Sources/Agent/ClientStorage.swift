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
    do throws(LoopError) {
      var random = RandomSource(seed: try Loop.randomSeed())
      var secret = RandomSource(seed: try Loop.randomSeed())
      let state = ClientPersistedState(nodeID: random.uuid(), secretID: secret.uuid())
      try file?.replaceChecked(state.encoded())
      return state
    } catch let error as DurableError {
      throw error
    } catch {
      throw .failed(operation: "draw a node identity for", path: file?.path ?? "the client", reason: "\(error)")
    }
  }

  func save(_ state: ClientPersistedState) throws(DurableError) { try file?.replaceChecked(state.encoded()) }
}
