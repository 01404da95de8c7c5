import Testing

/// Dependencies point one way: Base <- Wire <- protocol machines <- Server, Client <- Agent, Simulator <- executables.
@Suite struct LayeringTests {
  /// What each module may import of this package. A module that is missing here has no place in the design yet.
  static let allowed: [String: Set<String>] = {
    let machines: Set<String> = ["Gossip", "Membership", "Raft", "RPC", "HTTP", "State"]
    let foundations: Set<String> = ["Base", "Wire"]
    let roles: Set<String> = ["Server", "Client"]
    let shells: Set<String> = ["Configuration", "API", "Reactor", "Durable", "Telemetry", "Agent"]
    return [
      "Base": [],
      "Wire": ["Base"],
      "Gossip": foundations,
      "Membership": foundations.union(["Gossip"]),
      "Raft": foundations,
      "RPC": foundations,
      "HTTP": foundations.union(["CHTTPParser"]),
      "State": foundations,
      "Security": ["Base", "COpenSSL"],
      // Its description is JSON, which HTTP reads and writes.
      "Archive": foundations.union(["HTTP", "Security", "CZlib"]),
      "Server": foundations.union(machines).union(["Security"]).subtracting(["HTTP"]),
      "Client": foundations.union(["RPC"]),
      "Configuration": ["Base"],
      "API": foundations.union(machines).union(roles),
      "Reactor": ["Base", "CLibUV", "CSystem"],
      "Durable": ["Base", "CLMDB"],
      "Telemetry": ["Base"],
      "Simulator": foundations.union(machines).union(roles).subtracting(["HTTP"]),
      "Agent": foundations.union(machines).union(roles).union(shells).union(["Archive", "Security"]),
      "nomadd": ["Agent", "Base"],
      "nomad": ["Archive", "Base", "HTTP", "Configuration", "Wire"],
      // Real processes for the end-to-end tests and the bench.
      "Harness": ["Base", "HTTP"],
      "nomad-bench": foundations.union(["Gossip", "HTTP", "Membership", "RPC", "Reactor", "Harness"]),
      "nomad-fuzz": foundations.union(["Gossip", "Membership", "Security", "Server", "Harness"]),
    ]
  }()

  static let platform: Set<String> = ["Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Musl"]
  static let ours = Set(allowed.keys).union(["CLibUV", "CSystem", "CLMDB", "COpenSSL", "CHTTPParser", "CZlib"])

  @Test func everyModuleHasAPlace() {
    for module in Set(SourceTree.sources.map(\.module)).sorted() {
      #expect(Self.allowed[module] != nil, "\(module) is not in the table of layers")
    }
  }

  @Test func importsFollowTheLayers() {
    for file in SourceTree.sources {
      for name in file.imports where Self.ours.contains(name) && name != file.module {
        #expect(Self.allowed[file.module]?.contains(name) == true, "\(file.path) imports \(name)")
      }
    }
  }

  @Test func onlyTheReactorImportsLibuv() {
    for file in SourceTree.sources + SourceTree.tests where file.imports.contains("CLibUV") {
      #expect(file.module == "Reactor", "\(file.path) imports CLibUV")
    }
  }

  /// Machines read no clock, no socket, no file and no environment, so they import nothing that could.
  @Test func machinesDoNotImportThePlatform() {
    let withFoundation: Set<String> = [
      "Configuration", "API", "Agent", "nomadd", "nomad", "nomad-bench", "nomad-fuzz", "Harness",
    ]
    let withLibrary: Set<String> = ["Reactor", "Durable", "Telemetry"]
    for file in SourceTree.sources where !withFoundation.contains(file.module) {
      for name in file.imports where Self.platform.contains(name) {
        #expect(["Glibc", "Musl"].contains(name) && withLibrary.contains(file.module), "\(file.path) imports \(name)")
      }
    }
  }
}
