import Base
import Testing

@testable import Reactor

@Suite struct StreamEndTests {
  @Test func thePeersCloseIsFinished() throws {
    try Station.with { station in
      let (client, server) = try #require(station.makeStream(to: try station.listen()))
      station.outbox.send(client, bytes: [1])
      station.outbox.close(client)
      station.wait("end") { station.ends[server] != nil }
      #expect(station.ends[server] == .finished)
      #expect(station.received[server] == [1])
      station.wait("closing") { station.network.closingCount == 0 }
      #expect(station.ends[client] == nil, "no event follows a close of ours")
    }
  }

  @Test func closeSendsEverythingFirst() throws {
    try Station.with { station in
      let (client, server) = try #require(station.makeStream(to: try station.listen()))
      let bytes = [UInt8](repeating: 1, count: 4_000_000) + [UInt8](repeating: 2, count: 4_000_000)
      station.outbox.send(server, bytes: bytes)
      station.outbox.close(server)
      station.wait("end") { station.ends[client] != nil }
      #expect(station.ends[client] == .finished)
      #expect(station.received[client] == bytes)
    }
  }

  /// Closing a socket with unread bytes sends a reset, which would destroy our last answer in the peer's buffer.
  @Test func aPeerThatStillSendsReadsOurLastAnswer() throws {
    try Station.with { station in
      let address = try station.listen()
      let peer = RawSocket()
      #expect(peer.connect(to: address.port))
      station.onReceived = { id in
        station.outbox.send(id, bytes: Array("refused".utf8))
        station.outbox.close(id)
      }
      #expect(peer.send("hello"))
      station.wait("close") { station.network.closingCount == 1 }
      #expect(peer.send("and more that nobody reads"))
      station.settle(.milliseconds(20))
      #expect(peer.receive() == Array("refused".utf8))
      #expect(peer.receive() == [])
      peer.finishSending()
      station.wait("the end") { station.network.closingCount == 0 }
    }
  }

  /// `printf request | nc`: the request and the end of file arrive together.
  @Test func anAnswerReachesAPeerThatFinishedSending() throws {
    try Station.with { station in
      let address = try station.listen()
      let peer = RawSocket()
      #expect(peer.connect(to: address.port))
      #expect(peer.send("request"))
      peer.finishSending()
      station.onReceived = { station.outbox.send($0, bytes: Array("answer".utf8)) }
      station.wait("end") { station.endCount == 1 }
      #expect(station.ends.values.first == .finished)
      station.wait("closing") { station.network.closingCount == 0 }
      #expect(peer.receive() == Array("answer".utf8))
      #expect(peer.receive() == [])
    }
  }

  @Test func aResetIsToldOnce() throws {
    try Station.with { station in
      let address = try station.listen()
      var peer: RawSocket? = RawSocket()
      #expect(peer?.connect(to: address.port) == true)
      station.wait("stream") { station.accepted.count == 1 }
      peer?.resetOnClose()
      peer = nil
      station.wait("end") { station.endCount > 0 }
      station.settle()
      #expect(station.ends[station.accepted[0]] == .reset)
      #expect(station.endCount == 1)
    }
  }

  /// Reading is paused, so only the write can find out.
  @Test func aWriteAfterThePeersResetEndsTheStream() throws {
    try Station.with { station in
      let address = try station.listen()
      var peer: RawSocket? = RawSocket()
      #expect(peer?.connect(to: address.port) == true)
      station.wait("stream") { station.accepted.count == 1 }
      let id = station.accepted[0]
      station.outbox.pauseReading(id)
      station.settle(.milliseconds(5))
      peer?.resetOnClose()
      peer = nil
      station.settle(.milliseconds(20))
      #expect(station.ends.isEmpty)
      station.outbox.send(id, bytes: [1])
      station.perform()
      #expect(station.ends.isEmpty, "never inside perform")
      station.outbox.send(id, bytes: [2])
      station.wait("end") { station.ends[id] != nil }
      #expect(station.ends[id] == .reset)
      #expect(station.network.streamCount == 0)
    }
  }

  @Test func abortResetsThePeerAndIsSilentHere() throws {
    try Station.with { station in
      let (client, server) = try #require(station.makeStream(to: try station.listen()))
      station.outbox.abort(client)
      station.wait("end") { station.ends[server] != nil }
      #expect(station.ends[server] == .reset)
      #expect(station.ends[client] == nil)
    }
  }

  @Test func abortOfADialIsSilent() throws {
    try Station.with { station in
      let client = station.outbox.connect(to: try station.listen(), within: .seconds(1))
      station.outbox.abort(client)
      station.settle(.milliseconds(20))
      #expect(station.connected.isEmpty && station.ends[client] == nil)
      #expect(station.network.streamCount == 0)
    }
  }

  @Test func abortBetweenTheEndAndItsEventSilencesIt() throws {
    try Station.with { station in
      let client = station.outbox.connect(to: try #require(SocketAddress("224.0.0.1:9")), within: .seconds(1))
      station.perform()
      station.outbox.abort(client)
      station.perform()
      station.settle(.milliseconds(10))
      #expect(station.ends.isEmpty && station.network.streamCount == 0)
    }
  }

  /// Ends the stream in the middle of its own read, accept, connect and end callbacks.
  @Test(arguments: [true, false]) func aStreamMayBeEndedInsideItsOwnCallbacks(gracefully: Bool) throws {
    try Station.with { station in
      let address = try station.listen()
      func end(_ id: ConnectionID) {
        if gracefully { station.outbox.close(id) } else { station.outbox.abort(id) }
        station.perform()
      }
      station.onReceived = end
      let first = try #require(station.makeStream(to: address))
      station.outbox.send(first.client, bytes: [UInt8](repeating: 1, count: 300_000))
      station.wait("read") { station.network.streamCount == 0 }

      station.onAccepted = end
      let second = station.outbox.connect(to: address, within: .seconds(1))
      station.wait("accept") { station.ends[second] != nil }

      station.onAccepted = { _ in }
      station.onConnected = end
      let third = station.outbox.connect(to: address, within: .seconds(1))
      station.wait("connect") { station.connected.contains(third) && station.network.streamCount == 0 }

      station.onConnected = { _ in }
      station.onDisconnected = end
      let fourth = try #require(station.makeStream(to: address))
      station.outbox.close(fourth.client)
      station.wait("end") { station.ends[fourth.server] != nil }
      #expect(station.network.streamCount == 0)
    }
  }

  @Test func directivesForUnknownStreamsAreIgnored() throws {
    try Station.with { station in
      let ghost = station.outbox.makeConnectionID()
      station.outbox.send(ghost, bytes: [1])
      station.outbox.close(ghost)
      station.outbox.abort(ghost)
      station.outbox.pauseReading(ghost)
      station.outbox.resumeReading(ghost)
      station.perform()
      #expect(station.outbox.isEmpty)
    }
  }
}
