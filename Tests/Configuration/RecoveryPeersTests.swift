import Testing

@testable import Configuration

/// `peers.json`, by which a lost quorum is replaced.
@Suite struct RecoveryPeersTests {
  static let one = "4634ce77-a7fa-a653-692f-655c4bd2978f"
  static let two = "6f7be246-f625-9e37-4abd-55bdfb6a60d2"

  private func parse(_ text: String) throws -> [RecoveryPeer] {
    try RecoveryPeers.parse(Array(text.utf8), path: "/d/peers.json")
  }

  private func refusal(of text: String) -> String {
    do {
      return "accepted: \(try parse(text))"
    } catch {
      return "\(error)"
    }
  }

  @Test func readsTheObjectsOfRaftProtocol3() throws {
    let text = """
      [
        {"id": "\(Self.one)", "address": "10.1.0.1:4647", "non_voter": false},
        {"address": "10.1.0.2:4647", "id": "\(Self.two)", "non_voter": true}
      ]
      """
    #expect(
      try parse(text) == [
        RecoveryPeer(id: Self.one, address: "10.1.0.1:4647"),
        RecoveryPeer(id: Self.two, address: "10.1.0.2:4647", isVoter: false),
      ])
  }

  @Test func aMissingNonVoterMeansAVoter() throws {
    #expect(try parse(#"[{"id":"a","address":"1.2.3.4:1"}]"#) == [RecoveryPeer(id: "a", address: "1.2.3.4:1")])
  }

  @Test func readsTheAddressesOfRaftProtocol2() throws {
    #expect(
      try parse(#"["10.1.0.1:4647", "[::1]:4647"]"#) == [
        RecoveryPeer(id: "10.1.0.1:4647", address: "10.1.0.1:4647"),
        RecoveryPeer(id: "[::1]:4647", address: "[::1]:4647"),
      ])
  }

  @Test(arguments: [true, false]) func whatIsWrittenIsReadBack(legacy: Bool) throws {
    let peers = [
      RecoveryPeer(id: "10.1.0.1:4647", address: "10.1.0.1:4647"),
      RecoveryPeer(id: "10.1.0.2:4647", address: "10.1.0.2:4647"),
    ]
    let bytes = RecoveryPeers.text(peers, legacy: legacy)
    #expect(try RecoveryPeers.parse(bytes, path: "p") == peers)
    #expect(String(decoding: bytes, as: UTF8.self).contains("non_voter") == !legacy)
  }

  @Test func aNonVoterIsNeverWrittenInTheFormThatKnowsNone() throws {
    let peers = [
      RecoveryPeer(id: "10.1.0.1:4647", address: "10.1.0.1:4647"),
      RecoveryPeer(id: "10.1.0.2:4647", address: "10.1.0.2:4647", isVoter: false),
    ]
    #expect(try RecoveryPeers.parse(RecoveryPeers.text(peers, legacy: true), path: "p") == peers)
  }

  @Test(arguments: [
    ("", "/d/peers.json:1:1: found the end of the file where the list of peers.json should begin"),
    ("{}", "/d/peers.json:1:1: found \"{\" where the list of peers.json should begin"),
    ("[]", "/d/peers.json:1:1: the list is empty"),
    ("[null]", "/d/peers.json:1:1: the list is empty"),
    ("[1]", "/d/peers.json:1:2: found 1 where a server should be"),
    ("[\"10.0.0.1\"]", "/d/peers.json:1:2: \"10.0.0.1\" is no address of a server"),
    ("[\"10.0.0.1:0\"]", "/d/peers.json:1:2: \"10.0.0.1:0\" is no address of a server"),
    ("[\"0.0.0.0:4647\"]", "/d/peers.json:1:2: \"0.0.0.0:4647\" is no address of a server"),
    ("[\"host:4647\"]", "/d/peers.json:1:2: \"host:4647\" is no address of a server"),
    ("[\"1.2.3.4:1\",\n \"1.2.3.4:1\"]", "/d/peers.json:2:2: the id \"1.2.3.4:1\" stands here twice"),
    ("[{\"id\":\"a\"}]", "/d/peers.json:1:2: this server has no \"address\""),
    ("[{\"address\":\"1.2.3.4:1\"}]", "/d/peers.json:1:2: this server has no \"id\""),
    ("[{\"id\":\"\",\"address\":\"1.2.3.4:1\"}]", "/d/peers.json:1:3: the id is empty"),
    ("[{\"id\":1,\"address\":\"1.2.3.4:1\"}]", "/d/peers.json:1:8: found 1 for \"id\""),
    ("[{\"id\":\"a\",\"id\":\"b\",\"address\":\"1.2.3.4:1\"}]", "/d/peers.json:1:12: the key \"id\" stands here twice"),
    (
      "[{\"id\":\"a\",\"address\":\"1.2.3.4:1\",\"nonvoter\":true}]",
      "/d/peers.json:1:34: the key \"nonvoter\" is unknown"
    ),
    (
      "[{\"id\":\"a\",\"address\":\"1.2.3.4:1\",\"non_voter\":\"no\"}]",
      "/d/peers.json:1:46: found \"no\" for \"non_voter\""
    ),
    (
      "[{\"id\":\"a\",\"address\":\"1.2.3.4:1\",\"non_voter\":true}]",
      "/d/peers.json:1:1: no server in the list is a voter"
    ),
    ("[\"1.2.3.4:1\"", "/d/peers.json:1:13: the list opened at /d/peers.json:1:1 is not closed"),
    ("[\"1.2.3.4:1\"] x", "/d/peers.json:1:15: found \"x\" after the list"),
  ])
  func refusesWithPlaceAndRemedy(text: String, beginning: String) {
    let words = refusal(of: text)
    #expect(words.hasPrefix(beginning), "\(words)")
  }

  @Test func refusesMoreServersThanAnyRegionHas() {
    let text = "[" + (0...256).map { "\"10.0.\($0 / 256).\($0 % 256):4647\"" }.joined(separator: ",") + "]"
    #expect(refusal(of: text).hasPrefix("/d/peers.json:1:1: the list has 257 servers"))
  }
}
