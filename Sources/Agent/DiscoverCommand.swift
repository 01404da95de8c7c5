import Base
import Configuration
import Glibc
import Reactor

/// `nomadd operator discover`: what join entries lead to on this machine, and whether somebody listens there. Nothing
/// is joined.
public func runDiscover(arguments: [String]) -> Int32 {
  do throws(StartFailure) {
    guard let options = try DiscoverOptions(arguments) else {
      printText(DiscoverOptions.help, to: STDOUT_FILENO)
      return 0
    }
    do throws(LoopError) {
      let discovery = try Discovery(options.entries)
      defer { discovery.close() }
      discovery.run()
      printText(discovery.report, to: STDOUT_FILENO)
      return discovery.answers.isEmpty ? 1 : 0
    } catch {
      throw StartFailure(sentence: "\(error)")
    }
  } catch {
    printText("nomadd: \(error.sentence)", to: STDERR_FILENO)
    return 1
  }
}

/// The words behind `operator discover`.
struct DiscoverOptions {
  var entries: [JoinEntry] = []

  static let help = """
    Usage: nomadd operator discover [options] <entry> ...

      Looks up entries of retry_join as the agent does, with the resolver, the programs
      and the files of this machine, dials every address found for at most 3 seconds,
      and tells what came of it. Nothing is joined. Exit status 1 when nobody answers.

      An entry is an address, a name, "provider=srv domain=...", exec=<program> or
      file=<path>.

    Options:

      -port=<port>
        For entries without one: 4648, where servers gossip, by default; 4647 for the
        entries of a client.
    """

  /// Nil when the help is asked for.
  init?(_ arguments: [String]) throws(StartFailure) {
    var port: UInt16 = 4648
    var texts: [String] = []
    var words = arguments[...]
    while let word = words.popFirst() {
      guard word.hasPrefix("-") else {
        texts.append(word)
        continue
      }
      let body = word.drop { $0 == "-" }
      switch body.prefix(while: { $0 != "=" }) {
      case "h", "help": return nil
      case "port":
        let given = body.firstIndex(of: "=").map { String(body[body.index(after: $0)...]) } ?? words.popFirst()
        guard let value = given.flatMap(UInt16.init), value > 0 else {
          throw StartFailure(sentence: "operator discover: -port needs a number from 1 to 65535")
        }
        port = value
      default:
        throw StartFailure(sentence: "operator discover: unknown option \(word); -help lists the options")
      }
    }
    guard !texts.isEmpty else {
      throw StartFailure(sentence: "operator discover: name at least one join entry; -help explains")
    }
    for text in texts {
      do throws(EndpointError) { entries.append(try JoinEntry(text, defaultPort: port)) } catch {
        throw StartFailure(sentence: "\(error)")
      }
    }
  }
}

/// Looks entries up, all at once, and dials what they lead to.
private final class Discovery: LoopDelegate {
  private struct Found {
    let entry: JoinEntry
    var addresses: [SocketAddress] = []
    var failures: [String] = []
  }

  private enum Outcome {
    case answered(after: Interval)
    case failed(StreamEnd)
  }

  static let dialTime = Interval.seconds(3)

  private let loop: Loop
  private let network: NetworkShell
  private var found: [Found]
  private var unresolved: Int
  private var outbox = Outbox()
  private var dials: [ConnectionID: (address: SocketAddress, at: Instant)] = [:]
  private var dialled: Set<SocketAddress> = []
  private var outcomes: [SocketAddress: Outcome] = [:]

  init(_ entries: [JoinEntry]) throws(LoopError) {
    loop = try Loop()
    do throws(LoopError) { network = try NetworkShell(loop: loop) } catch {
      loop.shutDown()
      throw error
    }
    found = entries.map { Found(entry: $0) }
    unresolved = entries.count
  }

  func close() { loop.shutDown() }

  func run() {
    for position in found.indices {
      JoinResolution(loop: loop, entries: [found[position].entry]).run { [self] addresses, failures in
        found[position].addresses = addresses
        found[position].failures = failures
        unresolved -= 1
        for address in addresses where dialled.insert(address).inserted {
          dials[outbox.connect(to: address, within: Self.dialTime)] = (address, loop.now)
        }
      }
    }
    network.perform(&outbox)
    if !isDone { loop.run(self) }
  }

  private var isDone: Bool { unresolved == 0 && dials.isEmpty }

  var answers: [SocketAddress] {
    outcomes.compactMap { address, outcome in if case .answered = outcome { address } else { nil } }
  }

  var report: String {
    var lines: [String] = []
    for entry in found {
      lines.append(entry.entry.text)
      lines += entry.addresses.map { "  \($0)  \(words($0))" }
      lines += entry.failures.map { "  \($0)" }
      if entry.addresses.isEmpty, entry.failures.isEmpty { lines.append("  it leads to no address") }
    }
    return (lines + ["", "\(answers.count) of \(outcomes.count) addresses answer."]).joined(separator: "\n")
  }

  private func words(_ address: SocketAddress) -> String {
    switch outcomes[address] {
    case .answered(let time): "answers after \((time.milliseconds * 100).rounded() / 100) ms"
    case .failed(.refused): "refuses the connection: nobody listens there"
    case .failed(.timedOut): "does not answer within \(Self.dialTime.seconds) s"
    case .failed(.unreachable): "cannot be reached: there is no route"
    case .failed(let end): "fails: \(end)"
    case nil: "was not dialled"
    }
  }

  private func settle(_ id: ConnectionID, _ outcome: (Instant) -> Outcome) {
    guard let dial = dials.removeValue(forKey: id) else { return }
    outcomes[dial.address] = outcome(dial.at)
  }

  // MARK: LoopDelegate

  func connected(_ id: ConnectionID) {
    settle(id) { .answered(after: loop.now - $0) }
    outbox.abort(id)
  }

  func disconnected(_ id: ConnectionID, _ end: StreamEnd) { settle(id) { _ in .failed(end) } }

  func turnEnded() {
    network.perform(&outbox)
    if isDone { loop.stop() }
  }

  func makeConnectionID() -> ConnectionID { outbox.makeConnectionID() }
  func received(datagram: RawSpan, from: SocketAddress, on: ListenerTag) {}
  func accepted(_ id: ConnectionID, from: SocketAddress, on: ListenerTag) {}
  func received(_ id: ConnectionID, _ bytes: RawSpan) {}
  func deadlineReached() {}
  func signal(_ signal: LoopSignal) {}
}
