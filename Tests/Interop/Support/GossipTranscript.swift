import Base
import Wire

/// Messages of a pool as lines of text, so that those of two kinds of members can be compared.
enum GossipTranscript {
  /// The messages of a packet or a stream, without what is wrapped around them.
  static func unwrap(_ packet: [UInt8]) -> [[UInt8]] {
    guard let first = packet.first else { return [] }
    let rest = Array(packet.dropFirst())
    switch GossipMessageKind(rawValue: first) {
    case .checked: return unwrap(Array(packet.dropFirst(5)))
    case .compressed:
      var decoder = LempelZivWelchDecoder()
      var expanded: [UInt8] = []
      guard
        (try? CompressedMessage(rest.bytes).expand(into: &expanded, limit: 1 << 20, using: &decoder)) != nil
      else { return [packet] }
      return unwrap(expanded)
    case .compound:
      guard var compound = try? CompoundMessage(rest.bytes) else { return [packet] }
      var parts: [[UInt8]] = []
      while compound.hasNext, let part = try? compound.next() { parts += unwrap(part.copy()) }
      return parts
    default: return [packet]
    }
  }

  /// Of a ping, direct or not.
  static func sequence(of message: [UInt8]) -> UInt32? {
    let body = Array(message.dropFirst())
    if message.first == GossipMessageKind.ping.rawValue { return try? PingMessage(body.bytes).sequence }
    return try? IndirectPingMessage(body.bytes).sequence
  }

  /// One message; what cannot be read is named with its bytes.
  static func line(_ message: [UInt8]) -> String {
    (try? readable(message)) ?? "unreadable \(message.prefix(40))"
  }

  private static func readable(_ message: [UInt8]) throws -> String {
    let body = Array(message.dropFirst())
    let bytes = body.bytes
    switch message.first.flatMap(GossipMessageKind.init(rawValue:)) {
    case .ping: return "ping \(try PingMessage(bytes).node.text())"
    case .indirectPing: return "indirect ping \(try IndirectPingMessage(bytes).node.text())"
    case .ack:
      let ack = try AckMessage(bytes)
      let payload = ack.payload.byteCount == 0 ? "nothing" : try coordinate(ack.payload)
      return "ack \(ack.sequence) with \(payload)"
    case .nack: return "nack \(try NackMessage(bytes).sequence)"
    case .alive:
      let alive = try AliveMessage(bytes)
      return "alive \(alive.node.text()) \(alive.incarnation) \(place(alive.address, alive.port)) "
        + versions(alive.versions)
    case .suspect:
      let accusation = try AccusationMessage(bytes)
      return "suspect \(accusation.node.text()) \(accusation.incarnation) from \(accusation.from.text())"
    case .dead:
      let accusation = try AccusationMessage(bytes)
      return "dead \(accusation.node.text()) \(accusation.incarnation) from \(accusation.from.text())"
    case .user: return "user \(try serf(body))"
    case .error: return "error \(try ErrorMessage.decode(bytes))"
    case .pushPull: return try exchange(body)
    default: return "other \(message.prefix(16))"
    }
  }

  private static func coordinate(_ payload: RawSpan) throws -> String {
    // The first byte is the version of Serf's ping payload.
    "coordinate of \(try NetworkCoordinate(payload: payload).vector.count) dimensions"
  }

  private static func place(_ host: RawSpan, _ port: UInt16) -> String {
    IPAddress(network: host).map { "\(SocketAddress($0, port: port))" } ?? "nowhere"
  }

  private static func versions(_ versions: ProtocolVersions?) -> String {
    guard let versions else { return "without versions" }
    var bytes: [UInt8] = []
    bytes.pack(versions)
    return "speaks \(bytes.suffix(6))"
  }

  /// A Serf message.
  static func serf(_ message: [UInt8]) throws -> String {
    let body = Array(message.dropFirst())
    let bytes = body.bytes
    switch message.first.flatMap(SerfMessageKind.init(rawValue:)) {
    case .join: return "join \(try SerfIntent(bytes).node.text()) at \(try SerfIntent(bytes).lamportTime)"
    case .leave: return "leave \(try SerfIntent(bytes).node.text()) at \(try SerfIntent(bytes).lamportTime)"
    case .userEvent:
      let event = try SerfUserEvent(bytes)
      return "event \(event.name.text()) \(event.payload.text()) at \(event.lamportTime)"
    case .query:
      let query = try SerfQuery(bytes)
      return "query \(query.name.text()) \(query.id) at \(query.lamportTime)"
    case .queryResponse:
      let response = try SerfQueryResponse(bytes)
      let about = "\(response.id) at \(response.lamportTime) by \(response.from.text())"
      if response.flags & SerfQueryResponse.isAck != 0 { return "acknowledgement of \(about)" }
      return "answer to \(about): \(answer(response.payload.copy()))"
    default: return "other \(message.prefix(16))"
    }
  }

  private static func answer(_ payload: [UInt8]) -> String {
    switch payload.first.flatMap(SerfMessageKind.init(rawValue:)) {
    case .conflictResponse:
      guard let response = try? SerfConflictResponse(payload.bytes) else { break }
      return response.address.map { "it is at \($0)" } ?? "unknown"
    case .keyResponse:
      guard let response = try? SerfKeyResponse(payload.bytes) else { break }
      return "\(response.result) \(response.message) \(response.keys ?? [])"
    default: break
    }
    return String(decoding: payload, as: UTF8.self).filter { $0 != "\n" }
  }

  private static func exchange(_ body: [UInt8]) throws -> String {
    var reader = MessagePackReader(body.bytes)
    let header = try PushPullHeader(&reader)
    var offset = reader.offset
    var lines: [String] = []
    for _ in 0..<header.nodes {
      var length = 0
      let node = try PushPullNode(body.bytes.extracting(offset..<body.count), length: &length)
      lines.append(
        "\(node.name.text()) \(node.state.map { "\($0)" } ?? "?") \(place(node.address, node.port)) "
          + versions(node.versions))
      offset += length
    }
    let state = Array(body.dropFirst(offset))
    var serf = "no state"
    if state.count == header.userStateBytes, state.first == SerfMessageKind.pushPull.rawValue {
      let content = try SerfPushPull(Array(state.dropFirst()).bytes)
      var left: [String] = []
      try content.forEachLeftMember { left.append($0.text()) }
      serf = "left \(left.sorted()) clocks \(content.lamportTime), \(content.eventTime), \(content.queryTime)"
    }
    return "list join=\(header.isJoin) \(lines.sorted()) \(serf)"
  }
}
