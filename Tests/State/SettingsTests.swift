import Base
import State
import Testing
import Wire

@Suite struct SettingsTests {
  static let write = WriteRequest()

  @Test func autopilotIsCheckedAndSet() {
    var state = StateStore()
    var wanted = AutopilotConfiguration()
    wanted.modifyIndex = 3
    #expect(state.apply(4, StateMessage.autopilot(wanted, checked: true, write: Self.write)) == .checked(false))
    #expect(state.autopilot == nil)
    #expect(state.apply(5, StateMessage.autopilot(wanted, checked: false, write: Self.write)) == .checked(true))
    #expect(state.autopilot?.createIndex == 5 && state.autopilot?.modifyIndex == 5)
    wanted.maxTrailingLogs = 9
    wanted.modifyIndex = 5
    #expect(state.apply(8, StateMessage.autopilot(wanted, checked: true, write: Self.write)) == .checked(true))
    #expect(state.autopilot?.createIndex == 5 && state.autopilot?.modifyIndex == 8)
    #expect(state.autopilot?.maxTrailingLogs == 9)
    #expect(state.apply(9, StateMessage.autopilot(wanted, checked: true, write: Self.write)) == .checked(false))
  }

  @Test func schedulerKeepsUnknownSettings() throws {
    var state = StateStore()
    var body: [UInt8] = [MessageType.schedulerConfiguration.rawValue]
    body.packMapHeader(1)
    body.pack("Config")
    body.packMapHeader(2)
    body.pack("SchedulerAlgorithm")
    body.pack("spread")
    body.pack("Future")
    body.pack(true)
    #expect(state.apply(5, body) == .checked(true))
    let value = try Value(try #require(state.scheduler).encoded)
    #expect(
      value
        == .map([
          "SchedulerAlgorithm": .text(Array("spread".utf8)), "Future": .bool(true), "CreateIndex": .number(5),
          "ModifyIndex": .number(5),
        ]))
    #expect(state.scheduler?.algorithm == "spread")
  }

  @Test func namespacesComeAndGo() throws {
    var state = StateStore()
    #expect(state.namespacesIndex == 1)
    func upsert(_ name: String) -> [UInt8] {
      var body: [UInt8] = [MessageType.namespaceUpsert.rawValue]
      body.packMapHeader(1)
      body.pack("Namespaces")
      body.packArrayHeader(1)
      body.packMapHeader(2)
      body.pack("Name")
      body.pack(name)
      body.pack("Description")
      body.pack("d")
      return body
    }
    func delete(_ name: String) -> [UInt8] {
      var body: [UInt8] = [MessageType.namespaceDelete.rawValue]
      body.packMapHeader(1)
      body.pack("Namespaces")
      body.pack([name])
      return body
    }
    #expect(state.apply(3, upsert("web")) == .done)
    #expect(state.apply(4, upsert("web")) == .done)
    var out: [UInt8] = []
    state.packNamespaces(prefix: "", QueryMeta(index: 0, knownLeader: true), into: &out)
    let list = try #require(try Value(out)["Namespaces"]).items
    #expect(list.map { $0["Name"]?.string } == ["default", "web"])
    #expect(list[1]["CreateIndex"] == .number(3))
    #expect(list[1]["ModifyIndex"] == .number(4))
    #expect(state.apply(5, delete("default")) == .failed(.defaultNamespace))
    #expect(state.apply(6, delete("web")) == .done)
    #expect(state.namespacesIndex == 6)
  }

  @Test func unmodelledMessagesNeverFailAndAreCounted() {
    for type in UInt8(0)...127 {
      var state = StateStore()
      let result = state.apply(1, [type, 0x80])
      switch type {
      case 0...3, 24, 25, 28...32, 64, 65: break  // Modelled; an empty body is another matter.
      case 78...126:
        #expect(result == .failed(.unknownMessage(type)))
        #expect(!state.canSnapshot, "a snapshot would lose it")
        continue
      default: #expect(result == .done || result == .foreign, "type \(type)")
      }
      #expect(state.canSnapshot == (result != .foreign))
    }
  }

  @Test func ignoreFlagSilencesUnknownTypesOnly() {
    var state = StateStore()
    #expect(state.apply(1, [100 | 0x80, 0x80]) == .done)
    #expect(state.canSnapshot)
    #expect(state.apply(1, [100, 0x80]) == .failed(.unknownMessage(100)))
    var flagged = Recorded.autopilot
    flagged[0] |= 0x80
    #expect(state.apply(2, flagged) == .checked(true))
    #expect(state.autopilot != nil)
  }

  @Test func deletionsCountOnceThereIsForeignData() {
    var state = StateStore()
    #expect(state.apply(1, [7, 0x80]) == .done)
    #expect(state.canSnapshot)
    #expect(state.apply(2, [4, 0x80]) == .foreign)
    #expect(state.hasForeignData && !state.canSnapshot)
    #expect(state.apply(3, [7, 0x80]) == .done)
    #expect(state.foreignEntries == 2)
  }
}
