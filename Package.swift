// swift-tools-version: 6.2
import PackageDescription

// Dependencies point one way (docs/ARCHITECTURE.md):
// Base <- Wire <- protocol machines <- Server, Client <- Agent, Simulator <- executables.
// Tests/Tidy reads the import statements and enforces it.

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("ExistentialAny"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], excluding excluded: [String] = []) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: dependencies, path: "Tests/" + name, exclude: excluded, swiftSettings: settings)
}

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "nomadd",
  products: [],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .systemLibrary(name: "CLibUV", path: "CLibUV", providers: [.apt(["libuv1-dev"])]),
    .systemLibrary(name: "CLMDB", providers: [.apt(["liblmdb-dev"])]),
    .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CHTTPParser", providers: [.apt(["libhttp-parser-dev"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CSystem", linkerSettings: [.linkedLibrary("resolv")]),
    // The yardstick of the gossip bench.
    .target(name: "CBench", linkerSettings: [.linkedLibrary("uv")]),
    // Counts what a program allocates.
    .target(name: "CAllocations"),

    module("Base"),
    module("Wire", ["Base"]),

    module("Gossip", ["Wire"]),
    module("Membership", ["Gossip"]),
    module("Raft", ["Wire"]),
    module("RPC", ["Wire"]),
    module("Security", ["Base", "COpenSSL"]),
    module("HTTP", ["Wire", "CHTTPParser"]),
    module("State", ["Wire"]),
    module("Archive", ["HTTP", "Security", "CZlib"]),

    module("Server", ["Membership", "Raft", "RPC", "Security", "State"]),
    module("Client", ["RPC"]),
    module("Configuration", ["Base", argumentParser]),
    module("API", ["HTTP"]),

    module("Reactor", ["Base", "CLibUV", "CSystem"]),
    module("Durable", ["Base", "CLMDB"]),
    module("Telemetry", ["Base"]),
    module("RaftSimulator", ["Raft"]),
    module("Simulator", ["Server", "Client"]),
    module(
      "Agent",
      ["API", "Archive", "Server", "Security", "Client", "Configuration", "Durable", "Reactor", "Telemetry"]),
    module("Harness", ["HTTP"]),

    executable("nomadd", ["Agent"]),
    executable("nomad", ["Archive", "HTTP"]),
    executable(
      "nomad-bench",
      [
        "CAllocations", "CBench", "Harness", "HTTP", "Membership", "RPC", "Reactor", "Server", argumentParser,
      ]),
    executable("nomad-fuzz", ["Harness", "Membership", "Security", "Server", argumentParser]),
    executable("nomad-experiments", ["Gossip", "Raft", argumentParser]),
    executable("nomad-simulate", ["RaftSimulator", argumentParser]),

    tests("Base", ["Base"]),
    tests("Wire", ["Wire"]),
    tests("Gossip", ["Gossip"], excluding: ["Corpus"]),
    tests("Membership", ["Membership"]),
    tests("Raft", ["Raft", "RaftSimulator"]),
    tests("RPC", ["RPC"]),
    tests("Security", ["Security", "Server"]),
    tests("HTTP", ["HTTP"]),
    tests("State", ["State"]),
    tests("Archive", ["Archive"]),
    tests("Server", ["Server"]),
    tests("Client", ["Client"]),
    tests("Configuration", ["Configuration"]),
    tests("API", ["API", "Archive", "nomad"]),
    tests("Reactor", ["Reactor"]),
    tests("Telemetry", ["Telemetry"]),
    tests("Durable", ["Durable"]),
    tests("Simulation", ["Simulator"]),
    tests("Bench", ["Base", "nomad-bench"]),
    tests("EndToEnd", ["Harness", "HTTP"]),
    tests("Interop", ["HTTP", "Harness", "Membership", "Raft", "Reactor", "Server"], excluding: ["go", "python"]),
    tests("Tidy", []),
  ]
)
