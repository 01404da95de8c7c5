import Base
import Testing

@testable import Configuration

/// Files that exist in memory only.
struct MemoryFiles: ConfigurationFiles {
  var files: [String: String] = [:]
  var emptyDirectories: Set<String> = []

  func kind(of path: String) -> ConfigurationFileKind? {
    if files[path] != nil { return .file }
    let path = path.hasSuffix("/") ? String(path.dropLast()) : path
    return emptyDirectories.contains(path) || files.keys.contains { $0.hasPrefix(path + "/") } ? .directory : nil
  }

  func names(in directory: String) -> [String]? {
    let prefix = directory.hasSuffix("/") ? directory : directory + "/"
    return Array(
      Set(
        files.keys.filter { $0.hasPrefix(prefix) }
          .compactMap { $0.dropFirst(prefix.count).split(separator: "/").first.map(String.init) }))
  }

  func contents(of path: String) -> [UInt8]? { files[path].map { Array($0.utf8) } }
}

/// A machine with one private address on `eth0`.
let machine = HostFacts(
  hostName: "alpha",
  interfaces: [
    InterfaceAddress(name: "lo", address: .loopback, prefixLength: 8),
    InterfaceAddress(name: "eth0", address: IPAddress("10.0.0.5")!, prefixLength: 24, hasDefaultRoute: true),
  ])

struct Outcome {
  var configuration: AgentConfiguration?
  var warnings: [String] = []
  var text: String?
  var status: Int32 = 0
}

/// Runs the command line over files in memory; a single file may be given as `hcl`, and is then called `a.hcl`.
func resolve(
  _ arguments: [String], hcl: String? = nil, files: [String: String] = [:], host: HostFacts = machine
) -> Outcome {
  var all = files
  var words = arguments
  if let hcl {
    all["a.hcl"] = hcl
    words = ["--config", "a.hcl"] + words
  }
  switch resolveCommandLine(words, host: host, version: "1.2.3", files: MemoryFiles(files: all)) {
  case .run(let configuration, let warnings): return Outcome(configuration: configuration, warnings: warnings)
  case .printAndExit(let text, let status): return Outcome(text: text, status: status)
  }
}

/// The sentence with which a configuration is refused.
func refusal(_ hcl: String, _ arguments: [String] = [], host: HostFacts = machine) -> String? {
  let outcome = resolve(arguments, hcl: hcl, host: host)
  return outcome.status == 1 ? outcome.text : nil
}

/// The configuration of a file that must be accepted.
func accepted(
  _ hcl: String, _ arguments: [String] = [], host: HostFacts = machine, _ location: SourceLocation = #_sourceLocation
) throws -> AgentConfiguration {
  let outcome = resolve(arguments, hcl: hcl, host: host)
  return try #require(outcome.configuration, "\(outcome.text ?? "")", sourceLocation: location)
}

func endpoint(_ text: String) -> Endpoint { .address(SocketAddress(text)!) }
