import Base
import Testing
import Wire

@Suite struct NodeWireTests {
  static func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  static let registerReply = bytes(
    """
    8baf4576616c437265617465496e64657800a74576616c494473c0a8466561747572657300ac48656172746265617454544cd3000000038825879c
    a5496e64657808ab4b6e6f776e4c6561646572c2ab4c617374436f6e7461637400ad4c656164657252504341646472af3132372e302e352e313a3134363437
    af4e6f64654d6f64696679496e64657808a84e756d4e6f64657301a75365727665727391
    84aa4461746163656e746572a3646331b052504341647665727469736541646472af3132372e302e352e313a3134363437
    af5250434d616a6f7256657273696f6e01af5250434d696e6f7256657273696f6e01
    """)

  @Test func replyToARegistrationIsByteExact() throws {
    var reply = NodeUpdateResponse()
    reply.heartbeatTTL = Interval(nanoseconds: 0x3_8825_879C)
    reply.index = 8
    reply.nodeModifyIndex = 8
    reply.numNodes = 1
    reply.leaderRPCAddress = "127.0.5.1:14647"
    reply.servers = [ServerInfo(rpcAdvertiseAddress: "127.0.5.1:14647", datacenter: "dc1")]
    var out: [UInt8] = []
    reply.encode(into: &out)
    #expect(out == Self.registerReply)
    var reader = MessagePackReader(out.bytes)
    #expect(try NodeUpdateResponse(&reader) == reply)
  }

  @Test func everyPrefixOfAReplyIsRefused() {
    for count in 0..<Self.registerReply.count {
      let part = Array(Self.registerReply.prefix(count))
      var reader = MessagePackReader(part.bytes)
      let decoded = try? NodeUpdateResponse(&reader)
      #expect(decoded == nil)
    }
  }

  @Test func heartbeatIsByteExact() {
    var out: [UInt8] = []
    ClientRequest.encodeUpdateStatus(nodeID: "n", status: "ready", WriteRequest(region: "global"), into: &out)
    #expect(
      out
        == Self.bytes(
          """
          88a941757468546f6b656ea0a9466f72776172646564c2a94e616d657370616365a0a94e6f64654576656e74c0a64e6f64654944a16e
          a6526567696f6ea6676c6f62616ca6537461747573a57265616479a955706461746564417400
          """))
  }

  @Test func registrationIsByteExact() {
    var node = NodeDescription(
      id: "11111111-2222-3333-4444-555555555555", secretID: "66666666-7777-8888-9999-000000000000", name: "n1",
      datacenter: "dc1", httpAddress: "127.0.0.1:4646")
    node.attributes = [NodeAttribute("nomad.version", "1.1.2"), NodeAttribute("kernel.name", "linux")]
    node.cpuShares = 1000
    node.cores = 2
    node.memoryMB = 1024
    node.diskMB = 2048
    var out: [UInt8] = []
    node.encodeRegister(WriteRequest(region: "global"), into: &out)
    #expect(
      out
        == Self.bytes(
          """
          86a941757468546f6b656ea0a9466f72776172646564c2a94e616d657370616365a0a44e6f6465de001c
          aa4174747269627574657382ad6e6f6d61642e76657273696f6ea5312e312e32ab6b65726e656c2e6e616d65a56c696e7578
          b4435349436f6e74726f6c6c6572506c7567696e73c0ae4353494e6f6465506c7567696e73c0ad436f6d7075746564436c617373a0
          ab437265617465496e64657800aa4461746163656e746572a3646331ad447261696e5374726174656779c0a744726976657273c0
          a64576656e7473c0a84854545041646472ae3132372e302e302e313a34363436ab486f7374566f6c756d6573c0
          a24944da002431313131313131312d323232322d333333332d343434342d353535353535353535353535
          a94c617374447261696ec0a54c696e6b73c0a44d65746180ab4d6f64696679496e64657800a44e616d65a26e31a94e6f6465436c617373a0
          ad4e6f64655265736f757263657386a343707583a9437075536861726573d103e8b252657365727661626c65437075436f726573920001
          ad546f74616c437075436f72657302a744657669636573c0a44469736b81a64469736b4d42d10800a64d656d6f727981a84d656d6f72794d42d10400
          a84e6574776f726b73c0ac4e6f64654e6574776f726b73c0a85265736572766564c0
          b152657365727665645265736f757263657384a343707582a943707553686172657300b05265736572766564437075436f726573c0
          a44469736b81a64469736b4d4200a64d656d6f727981a84d656d6f72794d4200a84e6574776f726b7381b15265736572766564486f7374506f727473a0
          a95265736f7572636573c0b55363686564756c696e67456c69676962696c697479a8656c696769626c65
          a85365637265744944da002436363636363636362d373737372d383838382d393939392d303030303030303030303030
          a6537461747573ac696e697469616c697a696e67b15374617475734465736372697074696f6ea0af53746174757355706461746564417400
          aa544c53456e61626c6564c2a94e6f64654576656e74c0a6526567696f6ea6676c6f62616c
          """))
  }

  @Test func pushOfTheServerListRoundTrips() throws {
    let push = ServersChanged(
      servers: [ServerInfo(rpcAdvertiseAddress: "[::1]:4647", datacenter: "dc2")], leaderRPCAddress: "x", index: 9)
    var out: [UInt8] = []
    push.encode(into: &out)
    var reader = MessagePackReader(out.bytes)
    #expect(try ServersChanged(&reader) == push)
  }

  @Test(arguments: [
    ("127.0.0.1:1", "127.0.0.1:1"), ("127.0.0.1", "127.0.0.1:4647"), ("::1", "[::1]:4647"), ("[::1]", "[::1]:4647"),
    ("[::1]:7", "[::1]:7"), ("host:4647", nil), ("", nil),
  ])
  func serverAddressesGetTheDefaultPort(_ text: String, _ expected: String?) {
    let server = ServerInfo(rpcAdvertiseAddress: text, datacenter: "")
    #expect(server.socketAddress?.description == expected)
  }
}
