import ArgumentParser

@main struct NomadBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nomad-bench",
    abstract: "Measures Nomad-compatible cluster agents from outside.",
    discussion: """
      Works with every agent that has Nomad's command line, HTTP API and RPC protocol, the original included.
      """,
    subcommands: [
      FormCommand.self, RPCCommand.self, SoakCommand.self, HeartbeatsCommand.self, PushCommand.self, GossipCommand.self,
      GossipPeerCommand.self, AllocationsCommand.self,
    ])
}
