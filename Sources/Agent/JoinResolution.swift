import Base
import Configuration
import Glibc
import Reactor

/// Turns join entries into addresses: names by the system's resolver (every address), programs by their output.
final class JoinResolution {
  private let loop: Loop
  private let entries: [JoinEntry]
  private var addresses: [[SocketAddress]]
  private var failures: [String] = []
  private var pending: Int
  private var completion: (([SocketAddress], [String]) -> Void)?

  init(loop: Loop, entries: [JoinEntry]) {
    self.loop = loop
    self.entries = entries
    addresses = Array(repeating: [], count: entries.count)
    pending = entries.count
  }

  /// Calls `completion` once, possibly before this returns, with the addresses in the order of the entries.
  func run(_ completion: @escaping ([SocketAddress], [String]) -> Void) {
    self.completion = completion
    for (position, entry) in entries.enumerated() { resolve(entry, position) }
    if entries.isEmpty { finishIfComplete() }
  }

  private func resolve(_ entry: JoinEntry, _ position: Int) {
    switch entry {
    case .endpoint(.address(let address)): settle(position, [address])
    case .endpoint(.name(let name, let port)):
      loop.resolve(name) { [self] result in
        switch result {
        case .success(let hosts): settle(position, hosts.map { SocketAddress($0, port: port) })
        case .failure(let error): settle(position, [], failure: "\(name): \(error)")
        }
      }
    case .service(let query):
      loop.submitWork { ServiceLookup.addresses(of: query) } completion: { [self] result in
        switch result {
        case .success(let targets): resolveTargets(targets, position)
        case .failure(let error): settle(position, [], failure: "SRV \(query): \(error.text)")
        }
      }
    case .program(let arguments, let port):
      loop.submitWork { ProgramOutput.read(arguments) } completion: { [self] result in
        switch result {
        case .success(let text): settleProgram(text, port, position)
        case .failure(let error):
          settle(position, [], failure: "exec=\(arguments.joined(separator: " ")): \(error.text)")
        }
      }
    }
  }

  private func resolveTargets(_ targets: [ServiceLookup.Target], _ position: Int) {
    guard !targets.isEmpty else { return settle(position, [], failure: "the SRV answer is empty") }
    var found: [SocketAddress] = []
    var open = targets.count
    for target in targets {
      loop.resolve(target.host) { [self] result in
        if case .success(let hosts) = result { found += hosts.map { SocketAddress($0, port: target.port) } }
        open -= 1
        if open == 0 { settle(position, found, failure: found.isEmpty ? "no SRV target has an address" : nil) }
      }
    }
  }

  private func settleProgram(_ text: String, _ port: UInt16, _ position: Int) {
    var found: [SocketAddress] = []
    for word in text.split(whereSeparator: \.isWhitespace) {
      do throws(EndpointError) {
        if case .address(let address) = try Endpoint(String(word), defaultPort: port) { found.append(address) }
      } catch {
        failures.append("exec: \(error)")
      }
    }
    settle(position, found, failure: found.isEmpty ? "the program printed no address" : nil)
  }

  private func settle(_ position: Int, _ found: [SocketAddress], failure: String? = nil) {
    addresses[position] = found
    if let failure { failures.append(failure) }
    pending -= 1
    finishIfComplete()
  }

  private func finishIfComplete() {
    guard pending == 0, let done = completion else { return }
    completion = nil
    done(addresses.flatMap { $0 }, failures)
  }
}
