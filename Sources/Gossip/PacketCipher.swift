import Base

/// Encryption of gossip, supplied by the module that owns keys and cryptography (gossip.md 1.7, 3.3, 6.10).
///
/// A cipher exists only with at least one key. Nonces come from the implementation's own secure source.
public protocol PacketCipher: Sendable {
  /// Bytes that `seal` adds: version, nonce and tag.
  var overhead: Int { get }

  /// Replaces the bytes from `start` to the end of `buffer` by `version | nonce | ciphertext | tag` under the primary
  /// key. `header` and then `label` are the additional authenticated data; either may be empty.
  mutating func seal(_ buffer: inout [UInt8], from start: Int, header: RawSpan, label: RawSpan)

  /// Appends the plaintext of `sealed` to `plain`, trying every key, primary first. False when none opens it or the
  /// form is wrong; `plain` is unchanged then.
  mutating func open(_ sealed: RawSpan, header: RawSpan, label: RawSpan, into plain: inout [UInt8]) -> Bool

  /// The keys, primary first.
  var keys: [[UInt8]] { get }
  /// Adds a key at the end; an installed one is no error.
  mutating func install(_ key: [UInt8]) throws(KeyringError)
  /// Makes an installed key the primary.
  mutating func use(_ key: [UInt8]) throws(KeyringError)
  /// Removes a key; an unknown one is no error.
  mutating func remove(_ key: [UInt8]) throws(KeyringError)
}

/// Why a change of the keyring was refused.
public enum KeyringError: Error, Hashable, Sendable {
  /// Not 16, 24 or 32 bytes.
  case badKeyLength
  case notInstalled
  case isPrimary
  /// More keys than the ring holds.
  case full

  /// The sentence peers show to operators.
  public var text: String {
    switch self {
    case .badKeyLength: "key size must be 16, 24 or 32 bytes"
    case .notInstalled: "Requested key is not in the keyring"
    case .isPrimary: "Removing the primary key is not allowed"
    case .full: "keyring is full"
    }
  }
}
