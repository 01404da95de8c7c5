import Base
import Security
import Wire

/// How inputs are wrapped for one target: what it expects around every message.
struct Wrapping {
  var key: AESGCM?
  var label: [UInt8] = []
}

/// Makes inputs that are nearly right: real messages with edge values, then broken a little, then wrapped in real or
/// broken layers in any order. Deterministic in its seed.
struct InputMaker {
  private var random: RandomSource
  private let corpus: [[UInt8]]
  private var encoder = LempelZivWelchEncoder()
  /// Small inputs that want to become large.
  private let bombs: [[UInt8]]

  static let names = ["us", "a", "b", "c", "d.global", "", String(repeating: "n", count: 512)].map { Array($0.utf8) }
  static let maximumInputBytes = 70_000

  init(seed: UInt64, corpus: [[UInt8]]) {
    random = RandomSource(seed: seed)
    self.corpus = corpus
    bombs = (10..<22).map { power in
      var encoder = LempelZivWelchEncoder()
      var out: [UInt8] = []
      let content = [UInt8](repeating: GossipMessageKind.user.rawValue, count: 1 << power)
      CompressedMessage.encode(content.bytes, into: &out, using: &encoder)
      return out
    }
  }

  mutating func below(_ bound: Int) -> Int { random.below(bound) }

  /// One packet, from the outside in complete or not.
  mutating func packet(for wrapping: Wrapping) -> [UInt8] {
    var bytes = message()
    if random.below(3) == 0 { mutate(&bytes) }
    for _ in 0..<layers() { bytes = layer(bytes) }
    return seal(bytes, wrapping, header: [])
  }

  /// The bytes of one stream.
  mutating func stream(for wrapping: Wrapping) -> [UInt8] {
    var bytes: [UInt8]
    switch random.below(8) {
    case 0: bytes = message()
    case 1: bytes = corpus.isEmpty ? message() : corpus[random.below(corpus.count)]
    case 2: bytes = streamUserMessage()
    default: bytes = pushPull()
    }
    if random.below(3) == 0 { mutate(&bytes) }
    if random.below(3) == 0 { bytes = compressed(bytes) }
    if wrapping.key != nil, random.below(8) > 0 {
      var header: [UInt8] = [GossipMessageKind.encrypted.rawValue]
      let isPadded = random.below(4) == 0
      let sealed = encrypted(bytes, wrapping, padded: isPadded) { count in
        header.append(bigEndian: UInt32(count))
        return header
      }
      bytes = header + sealed
    }
    if random.below(6) == 0 { mutate(&bytes) }
    if !wrapping.label.isEmpty || random.below(50) == 0 {
      bytes = [GossipMessageKind.label.rawValue, UInt8(truncatingIfNeeded: wrapping.label.count)] + wrapping.label
        + bytes
    }
    return bytes
  }

  private mutating func layers() -> Int {
    switch random.below(10) {
    case 0...5: 0
    case 6...7: 1
    case 8: 2
    default: 3
    }
  }

  // MARK: Layers

  private mutating func layer(_ bytes: [UInt8]) -> [UInt8] {
    switch random.below(5) {
    case 0: return compressed(bytes)
    case 1: return checked(bytes)
    default: return compound(bytes)
    }
  }

  private mutating func compound(_ first: [UInt8]) -> [UInt8] {
    var parts = [first]
    for _ in 0..<random.below(6) { parts.append(message()) }
    parts.removeAll { $0.count > 0xFFFF }
    var out: [UInt8] = [GossipMessageKind.compound.rawValue]
    out.append(random.below(12) == 0 ? UInt8(random.below(256)) : UInt8(parts.count))
    for part in parts {
      out.append(bigEndian: UInt16(random.below(20) == 0 ? random.below(0x10000) : part.count))
    }
    for part in parts { out += part }
    return out
  }

  private mutating func compressed(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    if random.below(40) == 0 {
      out = bombs[random.below(bombs.count)]
    } else {
      CompressedMessage.encode(bytes.bytes, into: &out, using: &encoder)
    }
    if random.below(8) == 0 { mutate(&out) }
    return out
  }

  private mutating func checked(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [GossipMessageKind.checked.rawValue]
    let sum = Checksum.crc32(bytes.bytes)
    out.append(bigEndian: random.below(16) == 0 ? sum ^ 1 : sum)
    return out + bytes
  }

  private mutating func seal(_ bytes: [UInt8], _ wrapping: Wrapping, header: [UInt8]) -> [UInt8] {
    var out = bytes
    if wrapping.key != nil, random.below(8) > 0 {
      out = encrypted(out, wrapping, padded: random.below(4) == 0) { _ in [] }
      if random.below(12) == 0 { mutate(&out) }
    }
    if !wrapping.label.isEmpty ? random.below(20) > 0 : random.below(60) == 0 {
      let label = random.below(10) == 0 ? Array("x".utf8) : wrapping.label
      out = [GossipMessageKind.label.rawValue, UInt8(truncatingIfNeeded: label.count)] + label + out
    }
    return out
  }

  /// Version 1, or version 0 with good and bad padding.
  private mutating func encrypted(
    _ bytes: [UInt8], _ wrapping: Wrapping, padded: Bool, header: (Int) -> [UInt8]
  ) -> [UInt8] {
    guard let key = wrapping.key else { return bytes }
    var plain = bytes
    if padded {
      let pad = 16 - plain.count % 16
      let told = random.below(4) == 0 ? random.below(256) : pad
      plain += [UInt8](repeating: UInt8(told), count: pad)
    } else if random.below(30) == 0 {
      plain = []
    }
    let nonce = (0..<12).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    var out: [UInt8] = [padded ? 0 : 1]
    out += nonce
    let first = header(plain.count + 29)
    let isSealed = key.seal(
      plain.bytes, nonce: nonce, authenticated: (first.bytes, wrapping.label.bytes), into: &out)
    precondition(isSealed, "OpenSSL seals small inputs")
    return out
  }

  // MARK: Damage

  private mutating func mutate(_ bytes: inout [UInt8]) {
    for _ in 0...random.below(4) {
      guard !bytes.isEmpty else { return bytes.append(UInt8(random.below(256))) }
      let position = random.below(bytes.count)
      switch random.below(8) {
      case 0: bytes[position] = UInt8(random.below(256))
      case 1: bytes[position] ^= 1 << UInt8(random.below(8))
      case 2: bytes.removeSubrange(position...)
      case 3: bytes.insert(UInt8(random.below(256)), at: position)
      // Headers of MessagePack values with lengths that lie.
      case 4: bytes[position] = Self.headers[random.below(Self.headers.count)]
      case 5:
        let end = min(bytes.count, position + 1 + random.below(32))
        if bytes.count < Self.maximumInputBytes { bytes.insert(contentsOf: bytes[position..<end], at: position) }
      case 6:
        let end = min(bytes.count, position + 1 + random.below(8))
        bytes.removeSubrange(position..<end)
      default:
        let value = Self.edges[random.below(Self.edges.count)]
        var edge: [UInt8] = []
        edge.append(bigEndian: value)
        for (offset, byte) in edge.prefix(1 << random.below(4)).enumerated() where position + offset < bytes.count {
          bytes[position + offset] = byte
        }
      }
    }
  }

  private static let headers: [UInt8] = [
    0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC4, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF,
    0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xFF, 0x7F,
  ]
  private static let edges: [UInt64] = [
    0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, .max, .max - 1,
  ].flatMap { [$0, $0.byteSwapped] }

  // MARK: Messages

  private mutating func name() -> [UInt8] {
    if random.below(3) > 0 { return Self.names[random.below(Self.names.count)] }
    return Array("n\(random.below(400))".utf8)
  }

  private mutating func number() -> UInt64 {
    random.below(6) == 0 ? Self.edges[random.below(Self.edges.count)] : UInt64(random.below(40))
  }

  private mutating func incarnation() -> UInt32 { UInt32(truncatingIfNeeded: number()) }

  private mutating func address() -> SocketAddress {
    random.below(12) == 0
      ? SocketAddress(.any6, port: UInt16(random.below(0x10000)))
      : SocketAddress(.v4(0x7F00_0000 + UInt32(random.below(200))), port: 4648)
  }

  private mutating func metadata() -> [UInt8] {
    switch random.below(6) {
    case 0: return []
    case 1: return (0..<random.below(600)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    default:
      var out: [UInt8] = [0xFF]
      out.packMapHeader(3)
      for (key, value) in [("role", "nomad"), ("region", "global"), ("id", "\(random.below(100))")] {
        out.pack(key)
        out.pack(value)
      }
      return out
    }
  }

  private mutating func versions() -> ProtocolVersions {
    var versions = ProtocolVersions.nomad
    if random.below(12) == 0 { versions.protocolMax = UInt8(random.below(256)) }
    if random.below(12) == 0 { versions.delegateMin = UInt8(random.below(256)) }
    return versions
  }

  private mutating func payload() -> [UInt8] {
    let count = random.below(10) == 0 ? random.below(12_000) : random.below(60)
    return [UInt8](repeating: UInt8(random.below(256)), count: count)
  }

  private mutating func message() -> [UInt8] {
    var out: [UInt8] = []
    switch random.below(16) {
    case 0:
      PingMessage.encode(sequence: incarnation(), node: name(), source: address(), sourceNode: name(), into: &out)
    case 1:
      IndirectPingMessage.encode(
        sequence: incarnation(), target: address(), node: name(), wantsNack: random.below(2) == 0, source: address(),
        sourceNode: name(), into: &out)
    case 2: AckMessage.encode(sequence: incarnation(), payload: random.below(2) == 0 ? coordinate() : nil, into: &out)
    case 3: NackMessage.encode(sequence: incarnation(), into: &out)
    case 4...7:
      AliveMessage.encode(
        incarnation: incarnation(), node: name(), address: address(), metadata: metadata(), versions: versions(),
        into: &out)
    case 8: AccusationMessage.encode(.suspect, incarnation: incarnation(), node: name(), from: name(), into: &out)
    case 9: AccusationMessage.encode(.dead, incarnation: incarnation(), node: name(), from: name(), into: &out)
    case 10: if !corpus.isEmpty { out = corpus[random.below(corpus.count)] }
    case 11: out = (0..<random.below(80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    default:
      out = [GossipMessageKind.user.rawValue]
      serfMessage(into: &out)
    }
    return out
  }

  private mutating func serfMessage(into out: inout [UInt8]) {
    switch random.below(7) {
    case 0: SerfIntent.encodeJoin(lamportTime: number(), node: name(), into: &out)
    case 1:
      SerfIntent.encodeLeave(lamportTime: number(), node: name(), prune: random.below(4) == 0, into: &out)
    case 2:
      SerfUserEvent.encode(
        lamportTime: number(), name: name(), payload: payload(), mayCoalesce: random.below(2) == 0, into: &out)
    case 3, 4: query(into: &out)
    case 5:
      SerfQueryResponse.encode(
        lamportTime: number(), id: incarnation(), from: name(), flags: UInt32(random.below(4)), payload: keyAnswer(),
        into: &out)
    default:
      SerfRelay.encodeHeader(destination: address(), name: name(), into: &out)
      SerfQueryResponse.encode(
        lamportTime: number(), id: incarnation(), from: name(), flags: 0, payload: payload(), into: &out)
    }
  }

  private mutating func query(into out: inout [UInt8]) {
    let names = [
      "_serf_install-key", "_serf_use-key", "_serf_remove-key", "_serf_list-keys", "_serf_conflict", "_serf_ping",
      "_serf_", "deploy",
    ]
    var body: [UInt8] = []
    if random.below(3) > 0 {
      SerfKeyRequest.encode(key: [UInt8](repeating: 7, count: [0, 15, 16, 24, 32][random.below(5)]), into: &body)
    } else if random.below(2) == 0 {
      body = name()
    }
    var filters: [[UInt8]] = []
    for _ in 0..<random.below(3) { filters.append(filter()) }
    SerfQuery.encode(
      lamportTime: number(), id: incarnation(), source: address(), sourceNode: name(), filters: filters,
      flags: UInt32(random.below(4)), relayFactor: UInt8(random.below(8)),
      timeout: Interval(nanoseconds: Int64(bitPattern: number() &* 1_000_000_000)),
      name: Array(names[random.below(names.count)].utf8), payload: body, into: &out)
  }

  private mutating func filter() -> [UInt8] {
    switch random.below(6) {
    case 0: return []
    case 1: return [UInt8(random.below(256))]
    case 2:
      var out: [UInt8] = [0]
      out.packArrayHeader(2)
      out.pack(raw: name())
      out.pack(raw: name())
      return out
    default:
      let pieces = ["(a|", "[^", "a{2,9999}", ".*", "(?i)", "\\p{L}", "x+?", ")", "^nomad$", "(((", "[z-a]", "a**"]
      var pattern = ""
      for _ in 0...random.below(8) { pattern += pieces[random.below(pieces.count)] }
      var out: [UInt8] = [1]
      out.packMapHeader(2)
      out.pack("Expr")
      out.pack(pattern)
      out.pack("Tag")
      out.pack("role")
      return out
    }
  }

  private mutating func keyAnswer() -> [UInt8] {
    var out: [UInt8] = []
    if random.below(3) == 0 { return payload() }
    let response = SerfKeyResponse(
      result: random.below(2) == 0, keys: (0..<random.below(60)).map { "key\($0)" }, primaryKey: "key0")
    response.encode(into: &out)
    return out
  }

  private mutating func coordinate() -> [UInt8] {
    let values: [Double] = [0, 1e-5, 1.5, .nan, .infinity, -1e300, 0.01]
    var out: [UInt8] = [1]
    out.packMapHeader(4)
    for field in ["Adjustment", "Error", "Height"] {
      out.pack(field)
      out.pack(values[random.below(values.count)])
    }
    out.pack("Vec")
    let count = random.below(5) == 0 ? random.below(20) : 8
    out.packArrayHeader(count)
    for _ in 0..<count { out.pack(values[random.below(values.count)]) }
    return out
  }

  // MARK: Streams

  private mutating func streamUserMessage() -> [UInt8] {
    var body: [UInt8] = []
    serfMessage(into: &body)
    var out: [UInt8] = []
    UserMessageHeader.encode(length: random.below(5) == 0 ? Int(incarnation()) : body.count, into: &out)
    return out + body
  }

  private mutating func pushPull() -> [UInt8] {
    let nodes = random.below(8)
    let state = serfState()
    var out: [UInt8] = []
    let isLying = random.below(8) == 0
    PushPullHeader(
      nodes: isLying ? Int(incarnation()) : nodes, userStateBytes: random.below(10) == 0 ? 5 : state.count,
      isJoin: random.below(2) == 0
    ).encode(into: &out)
    for _ in 0..<nodes {
      PushPullNode.encode(
        name: name(), address: address(), metadata: metadata(), incarnation: incarnation(),
        state: [.alive, .suspect, .dead, .left][random.below(4)], versions: versions(), into: &out)
    }
    return out + state
  }

  private mutating func serfState() -> [UInt8] {
    var content = SerfPushPull.Content()
    content.lamportTime = number()
    content.eventTime = number()
    content.queryTime = number()
    for _ in 0..<random.below(5) { content.statusTimes.append((name(), number())) }
    for _ in 0..<random.below(4) { content.leftMembers.append(name()) }
    for _ in 0..<random.below(3) {
      content.events.append((number(), (0..<random.below(3)).map { _ in (name(), payload()) }))
    }
    var out: [UInt8] = []
    SerfPushPull.encode(content, into: &out)
    return out
  }
}
