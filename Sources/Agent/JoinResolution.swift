import Base
import Configuration
import Durable
import Glibc
import Reactor

/// Turns join entries into addresses: names by the system's resolver (every address), programs by their output, files
/// by their content.
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
        case .success(let text): settleWords(text, port, position, source: "exec")
        case .failure(let error):
          settle(position, [], failure: "exec=\(arguments.joined(separator: " ")): \(error.text)")
        }
      }
    case .file(let path, let port):
      loop.submitWork { Self.content(of: path) } completion: { [self] text in
        guard let text else { return settle(position, [], failure: "file=\(path): it cannot be read") }
        settleWords(text, port, position, source: "file=\(path)")
      }
    }
  }

  /// Without comments; nil when there is no such file.
  private static func content(of path: String) -> String? {
    do throws(DurableError) {
      guard let bytes = try SmallFile(path).read() else { return nil }
      let lines = bytes.split(separator: UInt8(ascii: "\n")).map { $0.prefix { $0 != UInt8(ascii: "#") } }
      return lines.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
    } catch {
      return nil
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

  /// Words of a program or a file: addresses, and names to look up.
  private func settleWords(_ text: String, _ port: UInt16, _ position: Int, source: String) {
    var found: [SocketAddress] = []
    var names: [(host: String, port: UInt16)] = []
    for word in text.split(whereSeparator: \.isWhitespace).prefix(Self.maximumWords) {
      do throws(EndpointError) {
        switch try Endpoint(String(word), defaultPort: port) {
        case .address(let address): found.append(address)
        case .name(let host, let port): names.append((host, port))
        }
      } catch {
        failures.append("\(source): \(error)")
      }
    }
    var open = names.count
    let isEmpty = "\(source): no address in it"
    guard open > 0 else { return settle(position, found, failure: found.isEmpty ? isEmpty : nil) }
    for name in names {
      loop.resolve(name.host) { [self] result in
        switch result {
        case .success(let hosts): found += hosts.map { SocketAddress($0, port: name.port) }
        case .failure(let error): failures.append("\(source): \(name.host): \(error)")
        }
        open -= 1
        if open == 0 { settle(position, found, failure: found.isEmpty ? isEmpty : nil) }
      }
    }
  }

  /// Of one program or file.
  static let maximumWords = 1024

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
