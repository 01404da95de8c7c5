import Base

/// Why foreign bytes were refused. Trivial on purpose: throwing it costs no allocation, and a counter per case tells
/// the story.
public enum WireError: Error, Hashable, Sendable {
  /// The message needs more bytes than are present; a stream decoder waits, a datagram decoder gives up.
  case truncated
  /// A value of another kind than the field demands (a string for a number, an array for a map).
  case typeMismatch
  /// A number that does not fit its field.
  case outOfRange
  /// Deeper nesting than `MessagePack.maximumDepth`.
  case tooDeep
  /// A declared size above the limit that the caller set.
  case tooLarge
  /// A byte that starts no value of the format, or a frame of unknown kind.
  case malformed
  /// Bytes follow where the message must end.
  case trailingBytes
}

extension WireError {
  @inlinable public init(_ error: ByteError) {
    switch error {
    case .truncated: self = .truncated
    }
  }
}
