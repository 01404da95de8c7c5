import Base
import Glibc
import Testing

@testable import Reactor

@Suite struct ServiceNotifierTests {
  @Test(arguments: ["@", "/tmp/"]) func theServiceManagerHearsTheWholeLife(prefix: String) throws {
    let name = prefix + "notify-\(getpid())-\(UInt64.random(in: .min ... .max))"
    let manager = try #require(ServiceManager(name))
    var notifier = try #require(
      ServiceNotifier(
        environment: ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"], at: Instant.start))
    try notifier.ready(status: "leader\nof 3 servers")
    #expect(manager.next() == "READY=1\nSTATUS=leader of 3 servers")
    try notifier.status("no leader: 2 of 3 servers")
    #expect(manager.next() == "STATUS=no leader: 2 of 3 servers")
    try notifier.extendTimeout(.seconds(30))
    #expect(manager.next() == "EXTEND_TIMEOUT_USEC=30000000")

    #expect(notifier.watchdogInterval == .seconds(15))
    #expect(notifier.deadline == .start)
    try notifier.handleTimeout(at: .start)
    #expect(manager.next() == "WATCHDOG=1")
    #expect(notifier.deadline == .start + .seconds(15))
    try notifier.handleTimeout(at: .start + .seconds(14))
    #expect(manager.next() == nil)
    try notifier.handleTimeout(at: .start + .seconds(15))
    #expect(manager.next() == "WATCHDOG=1")

    try notifier.stopping(status: "leaving")
    #expect(manager.next() == "STOPPING=1\nSTATUS=leaving")
  }

  @Test func outsideOfSystemdThereIsNone() {
    #expect(ServiceNotifier(environment: [:], at: .start) == nil)
    #expect(ServiceNotifier(environment: ["NOTIFY_SOCKET": ""], at: .start) == nil)
    #expect(ServiceNotifier(environment: ["NOTIFY_SOCKET": "@"], at: .start) == nil)
    #expect(ServiceNotifier(environment: ["NOTIFY_SOCKET": "relative"], at: .start) == nil)
  }

  @Test func aForeignOrBrokenWatchdogIsIgnored() {
    for (key, value) in [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "x"), ("WATCHDOG_USEC", "-5")] {
      var environment = ["NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1000000"]
      environment[key] = value
      #expect(ServiceNotifier(environment: environment, processID: 77, at: .start)?.deadline == nil)
    }
    let own = ["NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "77"]
    #expect(ServiceNotifier(environment: own, processID: 77, at: .start)?.watchdogInterval == .milliseconds(500))
  }

  @Test func aManagerThatIsGoneIsAnError() throws {
    let notifier = try #require(ServiceNotifier(environment: ["NOTIFY_SOCKET": "/nonexistent/notify"], at: .start))
    #expect(throws: ServiceNotifier.Failure.self) { try notifier.ready(status: "x") }
    let long = try #require(
      ServiceNotifier(environment: ["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)], at: .start))
    #expect(throws: ServiceNotifier.Failure.self) { try long.ready(status: "x") }
  }
}

/// Plays systemd: a datagram socket under a name.
@safe private final class ServiceManager {
  private let descriptor: Int32
  private let path: String?

  init?(_ name: String) {
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    path = name.hasPrefix("@") ? nil : name
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(name.utf8)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { target in
      for (index, byte) in bytes.enumerated() { unsafe target[index] = byte == UInt8(ascii: "@") ? 0 : byte }
    }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (path == nil ? 0 : 1))
    let code = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, length) }
    }
    if code != 0 { return nil }
  }

  deinit {
    close(descriptor)
    if let path { unsafe unlink(path) }
  }

  /// The next message, or `nil`; a message is there when the sender's call has returned.
  func next() -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
  }
}
