import Testing

/// `server detach`.
@Suite struct DetachCommandTests {
  private static func member(_ name: String, _ region: String, _ tags: String = #","nomadd":"1""#) -> String {
    #"{"Name":"\#(name).\#(region)","Addr":"10.0.0.1","Port":4648,"Status":"alive","#
      + #""Tags":{"region":"\#(region)"\#(tags)}}"#
  }

  private func bench() -> CommandBench {
    let members = [
      Self.member("s1", "global"), Self.member("s2", "global", ""), Self.member("d1", "dev"), Self.member("d2", "dev"),
    ]
    return CommandBench([
      "GET /v1/agent/members": #"{"ServerRegion":"global","Members":[\#(members.joined(separator: ","))]}"#,
      "PUT /v1/agent/detach?from=dev": "", "PUT /v1/agent/detach?from=dev&undo=true": "",
      "PUT /v1/agent/detach?from=west": "",
    ])
  }

  @Test func namesWhomItForgetsAndWhoStaysInBothPools() {
    var bench = bench()
    #expect(bench.run("server detach dev") == 0)
    #expect(bench.output == "forgotten: d1.dev\nforgotten: d2.dev\n")
    #expect(bench.errors == "s2.global is not nomadd and stays in both regions' pools; stop it, or they meet again\n")
    #expect(bench.sent.last == "PUT /v1/agent/detach?from=dev")
  }

  @Test func aDryRunOnlyAsks() {
    var bench = bench()
    #expect(bench.run("server detach -dry-run dev") == 0)
    #expect(bench.output == "would be forgotten: d1.dev\nwould be forgotten: d2.dev\n")
    #expect(bench.sent.allSatisfy { $0.hasPrefix("GET ") })
  }

  @Test func canBeUndone() {
    var bench = bench()
    #expect(bench.run("server detach -undo dev") == 0)
    #expect(bench.output == "allowed again: dev\n")
  }

  @Test func refusesTheOwnRegionAndTakesAnUnknownOne() {
    var bench = bench()
    #expect(bench.run("server detach global") == 1)
    #expect(bench.errors.hasPrefix("global is the region of the agent that was asked"))
    #expect(bench.run("server detach west") == 0)
    #expect(bench.output == "no server of region west is known; none will be admitted\n")
    #expect(bench.run("server detach") == 1)
  }
}
