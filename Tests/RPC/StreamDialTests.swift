import Base
import RPC
import Testing
import Wire

/// Streaming RPCs to an address that no session exists to yet.
@Suite struct StreamDialTests {
  private func open(_ pair: inout Pair) -> StreamHandle? {
    pair.client.openStream(named: "Agent.Monitor", to: serverAddress, at: pair.now, effects: &pair.clientEffects)
  }

  @Test(arguments: [1, 7, Int.max]) func theDialIsWaitedFor(chunk: Int) throws {
    var pair = Pair(chunk: chunk)
    let handles = [open(&pair), open(&pair)]
    pair.settle()
    pair.server.takeEvents(into: &pair.serverBatch)
    var asked: [StreamHandle] = []
    for case .streamingRequest(let handle, _, .agentMonitor, _) in pair.serverBatch.events { asked.append(handle) }
    #expect(asked.count == 2)
    for handle in asked { pair.server.acceptStream(handle, at: pair.now, effects: &pair.serverEffects) }
    pair.settle()
    pair.client.takeEvents(into: &pair.clientBatch)
    var answered: [StreamHandle?] = []
    for case .streamingAnswer(let handle, error: 0..<0) in pair.clientBatch.events { answered.append(handle) }
    #expect(answered == handles)
    #expect(pair.client.connectionCount == 1)
  }

  @Test func aRefusedDialEndsTheStream() throws {
    var pair = Pair()
    pair.serverRefuses = true
    let handle = try #require(open(&pair))
    pair.settle()
    pair.client.takeEvents(into: &pair.clientBatch)
    #expect(pair.clientBatch.events == [.streamEnded(handle)])
    #expect(pair.client.connectionCount == 0)
  }

  @Test func aStreamThatIsGivenUpBeforeTheDialIsNeverOpened() throws {
    var pair = Pair()
    let given = try #require(open(&pair))
    let kept = open(&pair)
    pair.client.resetStream(given, at: pair.now, effects: &pair.clientEffects)
    pair.settle()
    pair.server.takeEvents(into: &pair.serverBatch)
    #expect(pair.serverBatch.events.count { if case .streamingRequest = $0 { true } else { false } } == 1)
    pair.client.takeEvents(into: &pair.clientBatch)
    #expect(!pair.clientBatch.events.contains(.streamEnded(given)))
    #expect(kept != nil)
  }
}
