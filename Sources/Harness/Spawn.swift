import FoundationEssentials
import Glibc

/// `posix_spawn` with what the harness needs: an own process group and an empty signal mask.
/// Descriptors are not inherited because everything that this process opens is close-on-exec.
enum Spawn {
  enum Stream {
    case null
    /// Appended to; created with mode 0644 when missing.
    case file(String)
    case descriptor(Int32)
  }

  /// Starts `arguments[0]` (looked up in PATH when it has no slash) and returns its process id, which is also its
  /// process group. `environment` is added to this process's own.
  static func run(
    _ arguments: [String], environment: [String: String], input: Stream, output: Stream, error: Stream
  ) throws(HarnessError) -> Int32 {
    precondition(!arguments.isEmpty)
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    unsafe redirect(&actions, 0, input, flags: O_RDONLY)
    unsafe redirect(&actions, 1, output, flags: O_WRONLY | O_CREAT | O_APPEND)
    unsafe redirect(&actions, 2, error, flags: O_WRONLY | O_CREAT | O_APPEND)

    var none = sigset_t()
    var all = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

    var pid: pid_t = 0
    let variables = ProcessInfo.processInfo.environment.merging(environment) { _, added in added }
      .map { "\($0)=\($1)" }.sorted()
    let result = unsafe withCStrings(arguments) { argv in
      unsafe withCStrings(variables) { envp in
        unsafe posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, envp)
      }
    }
    guard result == 0 else { throw .system("start \(arguments[0])", code: result) }
    return pid
  }

  private static func redirect(
    _ actions: inout posix_spawn_file_actions_t, _ target: Int32, _ stream: Stream, flags: Int32
  ) {
    switch stream {
    case .null: unsafe posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_RDWR, 0)
    case .file(let path): unsafe posix_spawn_file_actions_addopen(&actions, target, path, flags, 0o644)
    case .descriptor(let source): unsafe posix_spawn_file_actions_adddup2(&actions, source, target)
    }
  }

  /// Calls `body` with a NULL-terminated vector of C strings that live as long as the call.
  private static func withCStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}
