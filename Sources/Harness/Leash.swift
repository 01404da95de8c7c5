import Glibc

/// Ends the agents when the program that started them dies without ending them itself (SIGKILL, a crash, a test
/// runner's time limit).
///
/// A shell reads a stream whose other end only this process holds: `+ group` when an agent starts, `- group` when
/// it has ended. End of file means that this process is gone, and the shell kills the groups that remain. The kernel's
/// parent-death signal is no substitute: it follows the *thread* that forked, and pool threads come and go.
final class Leash: Sendable {
  private let stream: Int32

  /// One per process, made when the first agent starts. A failure is kept and reported to every caller.
  static let shared = Result<Leash, HarnessError> { () throws(HarnessError) in try Leash() }

  private static let script = """
    groups=
    while read -r sign group; do
      case $sign in
      +) groups="$groups $group" ;;
      -) kept=
         for each in $groups; do [ "$each" = "$group" ] || kept="$kept $each"; done
         groups=$kept ;;
      esac
    done
    for each in $groups; do kill -s KILL -- "-$each"; done 2>/dev/null
    """

  private init() throws(HarnessError) {
    var ends: [Int32] = [-1, -1]
    // Unlike pipe(2), this closes on exec from the start: a copy of our end in an agent would hide our death.
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard unsafe socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw .system("make a socket pair") }
    defer { close(ends[0]) }
    do {
      _ = try Spawn.run(
        ["/bin/sh", "-c", Leash.script], environment: [:], input: .descriptor(ends[0]), output: .null, error: .null)
    } catch {
      close(ends[1])
      throw error
    }
    stream = ends[1]
  }

  func add(group: Int32) { tell("+ \(group)\n") }
  func remove(group: Int32) { tell("- \(group)\n") }

  /// One call a line, so lines of several threads never mix. Should the shell be gone, the agents are
  /// still ended by `ChildProcess`; there is nothing further to do about it here.
  private func tell(_ line: String) {
    let bytes = Array(line.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe send(stream, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  }
}
