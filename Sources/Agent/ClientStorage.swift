import Base
import Client
import Durable
import Security
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
  func load(machineID: String) throws(DurableError) -> ClientPersistedState {
    if let bytes = try file?.readChecked() {
      do throws(WireError) { return try ClientPersistedState(decoding: bytes.bytes) } catch {
        throw .damaged(path: file?.path ?? "", what: "it cannot be decoded (\(error))")
      }
    }
    guard let node = SecureRandom.uuid(), let secret = SecureRandom.uuid() else {
      throw .failed(
        operation: "draw an identity for", path: file?.path ?? "the client", reason: "the system gives no random bytes")
    }
    let state = ClientPersistedState(nodeID: node, secretID: secret, machineID: machineID)
    try file?.replaceChecked(state.encoded())
    return state
  }

  /// For the thread pool. Nil: all is where it was.
  func makeCheck() -> (@Sendable () -> String?)? {
    guard let lock, let file else { return nil }
    return { lock.isInPlace ? nil : file.path }
  }

  func save(_ state: ClientPersistedState) throws(DurableError) { try file?.replaceChecked(state.encoded()) }
}
