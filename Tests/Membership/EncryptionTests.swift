import Base
import Gossip
import Membership
import Testing

@Suite struct EncryptionTests {
  let old = [UInt8](repeating: 1, count: 16)
  let new = [UInt8](repeating: 2, count: 16)

  func pool(seed: UInt64, label: [UInt8] = []) -> TestNetwork {
    var network = TestNetwork(seed: seed)
    for name in ["a", "b", "c"] {
      network.start(name, cipher: FakeCipher(keys: [old])) { $0.gossip.label = label }
    }
    network.join(1, [0])
    network.join(2, [0])
    return network
  }

  @Test(arguments: [[], Array("prod".utf8)])
  func encryptedPoolForms(label: [UInt8]) {
    var network = pool(seed: 1, label: label)
    #expect(network.run(within: .milliseconds(50)) { $0.allSee("a=alive b=alive c=alive") })
    network.run(.minutes(3))
    #expect(network.allSee("a=alive b=alive c=alive"))
    #expect(network.nodes.allSatisfy { $0.machine.gossip.statistics.dropped == 0 })
  }

  @Test func strangersWithoutOrWithAnotherKeyStayOut() {
    for cipher in [nil, FakeCipher(keys: [new])] {
      var network = pool(seed: 2)
      network.run(.seconds(1))
      let stranger = network.start("x", cipher: cipher)
      network.join(stranger, [0])
      network.run(.seconds(30))
      for node in 0..<3 { #expect(network.view(node) == "a=alive b=alive c=alive") }
      #expect(network.view(stranger) == "x=alive")
      let refusals = network.nodes[stranger].events.contains { event in
        if case .joinFinished(_, let outcomes) = event { return outcomes.contains { !$0.isSuccess } }
        return false
      }
      #expect(refusals)
    }
  }

  @Test func keysAreRotatedOnAllMembers() {
    var network = pool(seed: 3)
    network.run(.seconds(5))
    func change(_ operation: KeyringOperation) -> KeyringResult? {
      let id = network.call(1) { machine, now, effects in
        machine.changeKeyring(operation, at: now, effects: &effects)
      }
      network.run(.seconds(9))
      for case .keyringOperationFinished(id, let result) in network.nodes[1].events { return result }
      return nil
    }
    #expect(change(.use(new))?.errors.count == 3)
    #expect(change(.install(new))?.isSuccess == true)
    let both = change(.list)
    #expect(both?.keys.map(\.members) == [3, 3])
    #expect(both?.primaryKeys.map(\.key) == ["AQEBAQEBAQEBAQEBAQEBAQ=="])
    #expect(change(.use(new))?.isSuccess == true)
    #expect(change(.remove(new))?.errors.count == 3)
    #expect(change(.remove(old))?.isSuccess == true)
    #expect(change(.list)?.keys == [KeyringResult.Tally(key: "AgICAgICAgICAgICAgICAg==", members: 3)])
    let changes = network.nodes[0].events.filter { $0 == .keyringChanged }
    #expect(changes.count == 3)
    #expect(network.allSee("a=alive b=alive c=alive"))
  }
}
