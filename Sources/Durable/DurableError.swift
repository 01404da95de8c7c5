/// Why something could not be stored or read back. Carries text for the operator: the path, what happened, what helps.
public enum DurableError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Another process has the directory open.
  case inUse(path: String)
  /// A system call or the database refused.
  case failed(operation: String, path: String, reason: String)
  /// No space, or the configured maximum is reached.
  case full(path: String, reason: String)
  /// Bytes that were stored came back different.
  case damaged(path: String, what: String)
  /// An earlier write failed in a way that leaves unknown what is on the disk; only a restart helps.
  case poisoned(path: String)

  public var description: String {
    switch self {
    case .inUse(let path):
      "\(path) is in use by another process: stop it, or give this one another data_dir"
    case .failed(let operation, let path, let reason):
      "cannot \(operation) \(path): \(reason); check that the directory exists, its owner, its permissions and its disk"
    case .full(let path, let reason):
      "no room to write in \(path): \(reason); free disk space and restart"
    case .damaged(let path, let what):
      "\(path) is damaged: \(what); move the directory away and let this server join its cluster again, "
        + "or restore it from a backup"
    case .poisoned(let path):
      "an earlier write to \(path) failed; restart after checking the disk"
    }
  }
}
