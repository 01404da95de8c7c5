import Base
import Wire

/// Why a stream cannot be used.
enum StreamFailure: Error, Hashable {
  /// The envelope is wrong; a listener tells the dialer so (gossip.md 3.2).
  case envelope(Complaint)
  /// The message inside is wrong; nobody is told.
  case body

  enum Complaint: Hashable {
    case label, encryptedWithoutKey, notEncrypted, undecryptable, tooLarge, compression, empty
    /// Sealed: fewer bytes than a cipher adds.
    case tooShort(bytes: Int)
    case unknownVersion(UInt8)
    case tooLargeSealed(bytes: Int)

    /// Peers' own words where they have some, because operators search for them.
    var text: String {
      switch self {
      case .label: "unexpected or wrong label"
      case .encryptedWithoutKey: "Remote state is encrypted and encryption is not configured"
      case .notEncrypted: "Encryption is configured but remote state is not encrypted"
      case .undecryptable: "No installed keys could decrypt the message"
      case .tooLarge: "message is larger than limit"
      case .compression: "cannot decompress the message"
      case .empty: "message is empty"
      case .tooShort(let bytes): "Payload is too small to decrypt: \(bytes)"
      case .unknownVersion(let version): "Unsupported encryption version \(version)"
      case .tooLargeSealed(let bytes): "Remote node state is larger than limit (\(bytes))"
      }
    }
  }
}

/// A complete message of a stream; ranges are in the reader's `buffer`.
enum StreamMessage: Hashable {
  case pushPull(PushPullHeader, nodes: Range<Int>, state: Range<Int>)
  case ping(Range<Int>)
  case ack(Range<Int>)
  case user(Range<Int>)
  case error(Range<Int>)
  case unsupported(UInt8)
}

/// Collects a stream's bytes until they hold one message, and takes off its envelopes (gossip.md 3.1).
///
/// Work per received byte is bounded: lengths that are announced are waited for without looking again, and a single
/// value whose end is not announced must fit into `maximumValueBytes`.
struct StreamReader {
  private(set) var buffer: [UInt8] = []
  private let expectsLabel: Bool
  private var required = 1
  private var stage = Stage.label
  /// All envelopes are off; `buffer` is the message and nothing more will come.
  private var isWhole = false
  private var header: PushPullHeader?
  private var nodesLeft = 0
  private var nodesStart = 0
  private var scanned = 0

  private enum Stage { case label, envelope, message }

  static let maximumValueBytes = 8192
  /// The first byte of what is sealed (gossip.md 1.7).
  private static let maximumCipherVersion: UInt8 = 1

  /// Only the dialer sends a label, so only the listener expects one.
  init(expectsLabel: Bool) { self.expectsLabel = expectsLabel }

  mutating func append(_ chunk: RawSpan) throws(StreamFailure) {
    guard buffer.count + chunk.byteCount <= GossipLimits.maximumStreamBytes else { throw .envelope(.tooLarge) }
    buffer.append(contentsOf: chunk)
  }

  /// The message once it is complete; `nil` while more bytes are needed.
  mutating func next(
    cipher: inout (any PacketCipher)?, label: [UInt8], expander: inout LempelZivWelchDecoder
  ) throws(StreamFailure) -> StreamMessage? {
    while true {
      guard isWhole || buffer.count >= required else { return nil }
      switch stage {
      case .label:
        guard try takeLabel(label) else { return nil }
        stage = .envelope
      case .envelope:
        guard try takeEnvelope(cipher: &cipher, label: label, expander: &expander) else { return nil }
        stage = .message
      case .message: return try takeMessage()
      }
    }
  }

  private mutating func takeLabel(_ label: [UInt8]) throws(StreamFailure) -> Bool {
    guard expectsLabel else { return true }
    guard buffer[0] == GossipMessageKind.label.rawValue else {
      if !label.isEmpty { throw .envelope(.label) }
      return true
    }
    guard buffer.count >= 2 else { return wait(for: 2) }
    let end = 2 + Int(buffer[1])
    guard buffer.count > end else { return wait(for: end + 1) }
    guard end > 2, buffer[2..<end].elementsEqual(label) else { throw .envelope(.label) }
    buffer.removeFirst(end)
    required = 1
    return true
  }

  private mutating func takeEnvelope(
    cipher: inout (any PacketCipher)?, label: [UInt8], expander: inout LempelZivWelchDecoder
  ) throws(StreamFailure) -> Bool {
    if !isWhole {
      if buffer[0] == GossipMessageKind.encrypted.rawValue {
        guard cipher != nil else { throw .envelope(.encryptedWithoutKey) }
        guard buffer.count >= 5 else { return wait(for: 5) }
        let length = Int(buffer.bytes.uint32(at: 1))
        guard length <= GossipLimits.maximumEncryptedMessageBytes else {
          throw .envelope(.tooLargeSealed(bytes: length))
        }
        guard buffer.count >= 5 + length else { return wait(for: 5 + length) }
        if length > 0, buffer[5] > Self.maximumCipherVersion { throw .envelope(.unknownVersion(buffer[5])) }
        if length < cipher?.overhead ?? 0 { throw .envelope(.tooShort(bytes: length)) }
        var plain: [UInt8] = []
        let isOpen =
          cipher?.open(
            buffer.bytes.extracting(5..<(5 + length)), header: buffer.bytes.extracting(0..<5), label: label.bytes,
            into: &plain) ?? false
        guard isOpen else { throw .envelope(.undecryptable) }
        guard !plain.isEmpty else { throw .envelope(.empty) }
        buffer = plain
        isWhole = true
      } else if cipher != nil {
        throw .envelope(.notEncrypted)
      }
    }
    guard buffer[0] == GossipMessageKind.compressed.rawValue else { return true }
    return try expand(&expander)
  }

  private mutating func expand(_ expander: inout LempelZivWelchDecoder) throws(StreamFailure) -> Bool {
    var expanded: [UInt8] = []
    let received = buffer
    do throws(WireError) {
      let body = received.bytes.extracting(1..<received.count)
      if !isWhole {
        let extent: Int
        do throws(WireError) { extent = try CompressedMessage.extent(body) } catch {
          guard error == .truncated, buffer.count <= Self.maximumValueBytes else { throw error }
          return false
        }
        guard extent <= GossipLimits.maximumStreamBytes else { throw .tooLarge }
        if extent > body.byteCount { return wait(for: 1 + extent) }
      }
      try CompressedMessage(body).expand(
        into: &expanded, limit: GossipLimits.maximumDecompressedStreamBytes, using: &expander)
    } catch {
      throw .envelope(error == .tooLarge ? .tooLarge : .compression)
    }
    guard !expanded.isEmpty else { throw .envelope(.empty) }
    buffer = expanded
    isWhole = true
    return true
  }

  private mutating func takeMessage() throws(StreamFailure) -> StreamMessage? {
    do throws(WireError) {
      switch GossipMessageKind(rawValue: buffer[0]) {
      case .pushPull: return try takePushPull()
      case .ping: return .ping(try oneValue())
      case .ack: return .ack(try oneValue())
      case .error: return .error(try oneValue())
      case .user:
        var reader = MessagePackReader(buffer.bytes, at: 1)
        let length = try UserMessageHeader.decode(&reader)
        let end = reader.offset + length
        guard buffer.count >= end else {
          required = end
          if isWhole { throw .truncated }
          return nil
        }
        return .user(reader.offset..<end)
      default: return .unsupported(buffer[0])
      }
    } catch {
      if error == .truncated, !isWhole, buffer.count - scanned <= Self.maximumValueBytes { return nil }
      throw .body
    }
  }

  private func oneValue() throws(WireError) -> Range<Int> {
    var reader = MessagePackReader(buffer.bytes, at: 1)
    try reader.skip()
    return 1..<reader.offset
  }

  private mutating func takePushPull() throws(WireError) -> StreamMessage? {
    let received = buffer
    if header == nil {
      var reader = MessagePackReader(received.bytes, at: 1)
      let decoded = try PushPullHeader(&reader)
      header = decoded
      nodesLeft = decoded.nodes
      nodesStart = reader.offset
      scanned = reader.offset
    }
    guard let header else { return nil }
    while nodesLeft > 0 {
      var reader = MessagePackReader(received.bytes, at: scanned)
      try reader.skip()
      scanned = reader.offset
      nodesLeft -= 1
    }
    let end = scanned + header.userStateBytes
    guard buffer.count >= end else {
      if isWhole { throw .truncated }
      required = end
      return nil
    }
    return .pushPull(header, nodes: nodesStart..<scanned, state: scanned..<end)
  }

  private mutating func wait(for count: Int) -> Bool {
    required = count
    return false
  }
}
