import Base

/// Data directories that vanish under a running agent: removed, moved away, or their file system gone. Files that are
/// open take writes all the same, so nothing else would notice before the next start, when a server would have
/// forgotten its vote.
extension AgentShell {
  static let directoryCheckInterval = Interval.seconds(3)

  func checkDirectories() {
    directoriesCheckedNext = nil
    let serverCheck = serverStorage?.makeCheck()
    let clientCheck = clientStorage?.makeCheck()
    loop.submitWork { () -> (server: String?, client: String?) in
      (serverCheck?(), clientCheck?())
    } completion: { [unowned self] gone in
      directoriesCheckedNext = loop.now + Self.directoryCheckInterval
      if let path = gone.server, exitStatus == nil {
        fail(
          "the data directory is gone: \(path) was removed or replaced while the server runs; what it writes now would "
            + "be lost, so it takes no part any more. Put the directory back, or let it start as a new server")
      }
      noteClientDirectory(gone.client)
    }
  }

  private func noteClientDirectory(_ gone: String?) {
    guard (gone != nil) != isClientDirectoryGone else { return }
    isClientDirectoryGone = gone != nil
    if let gone {
      effects.log.log(
        .error, "client",
        "the data directory is gone: \(gone) was removed or replaced; the client goes on, and will be another node "
          + "after its next start unless the file is put back")
    } else {
      effects.log.log(.info, "client", "the data directory is back")
    }
  }
}
