import Base
import COpenSSL

/// AES in GCM mode with 12-byte nonces and 16-byte tags, by OpenSSL.
///
/// A value is a key; equal keys are equal values. Each operation uses a context of its own, so a value may be shared.
public struct AESGCM: Hashable, Sendable {
  public static let nonceBytes = 12
  public static let tagBytes = 16

  public let key: [UInt8]

  /// Nil unless the key has 16, 24 or 32 bytes (AES-128, -192, -256).
  public init?(key: [UInt8]) {
    guard [16, 24, 32].contains(key.count) else { return nil }
    self.key = key
  }

  /// Appends `ciphertext | tag` of `plain` to `out`. `authenticated` parts are bound, in order, and not sent. False
  /// when OpenSSL refuses (out of memory); `out` is unchanged then.
  public func seal(
    _ plain: RawSpan, nonce: [UInt8], authenticated: (RawSpan, RawSpan), into out: inout [UInt8]
  ) -> Bool {
    precondition(nonce.count == Self.nonceBytes)
    guard let context = unsafe EVP_CIPHER_CTX_new() else { return false }
    defer { unsafe EVP_CIPHER_CTX_free(context) }
    guard unsafe EVP_EncryptInit_ex(context, cipher, nil, key, nonce) == 1 else { return false }
    let start = out.count
    var produced: Int32 = 0
    guard unsafe Self.authenticate(context, authenticated.0), unsafe Self.authenticate(context, authenticated.1)
    else { return false }
    out.append(contentsOf: plain)
    let isSealed = unsafe out.withUnsafeMutableBytes { buffer in
      let body = unsafe buffer.baseAddress?.advanced(by: start).assumingMemoryBound(to: UInt8.self)
      return unsafe EVP_EncryptUpdate(context, body, &produced, body, Int32(plain.byteCount)) == 1
    }
    var tag = [UInt8](repeating: 0, count: Self.tagBytes)
    var rest: Int32 = 0
    guard isSealed, unsafe EVP_EncryptFinal_ex(context, &tag, &rest) == 1,
      unsafe copenssl_get_tag(context, &tag, Int32(Self.tagBytes)) == 1
    else {
      out.removeSubrange(start...)
      return false
    }
    out.append(contentsOf: tag)
    return true
  }

  /// Appends the plaintext of `sealed` (`ciphertext | tag`) to `out`. False when it was not made with this key, nonce
  /// and authenticated data, or is too short; `out` is unchanged then.
  public func open(
    _ sealed: RawSpan, nonce: RawSpan, authenticated: (RawSpan, RawSpan), into out: inout [UInt8]
  ) -> Bool {
    let count = sealed.byteCount - Self.tagBytes
    guard count >= 0, nonce.byteCount == Self.nonceBytes, let context = unsafe EVP_CIPHER_CTX_new()
    else { return false }
    defer { unsafe EVP_CIPHER_CTX_free(context) }
    guard unsafe EVP_DecryptInit_ex(context, cipher, nil, key, nonce.copy()) == 1,
      unsafe Self.authenticate(context, authenticated.0), unsafe Self.authenticate(context, authenticated.1)
    else { return false }
    let start = out.count
    out.append(contentsOf: sealed.extracting(0..<count))
    var tag = sealed.copy(count..<sealed.byteCount)
    var produced: Int32 = 0
    let isRead = unsafe out.withUnsafeMutableBytes { buffer in
      let body = unsafe buffer.baseAddress?.advanced(by: start).assumingMemoryBound(to: UInt8.self)
      return unsafe EVP_DecryptUpdate(context, body, &produced, body, Int32(count)) == 1
    }
    var end = [UInt8](repeating: 0, count: Self.tagBytes)
    var rest: Int32 = 0
    guard isRead, unsafe copenssl_set_tag(context, &tag, Int32(Self.tagBytes)) == 1,
      unsafe EVP_DecryptFinal_ex(context, &end, &rest) == 1
    else {
      out.removeSubrange(start...)
      return false
    }
    return true
  }

  private var cipher: OpaquePointer? {
    switch key.count {
    case 16: unsafe EVP_aes_128_gcm()
    case 24: unsafe EVP_aes_192_gcm()
    default: unsafe EVP_aes_256_gcm()
    }
  }

  private static func authenticate(_ context: OpaquePointer, _ data: RawSpan) -> Bool {
    guard data.byteCount > 0 else { return true }
    var ignored: Int32 = 0
    // Encryption and decryption take additional data the same way: by an update without output.
    return unsafe EVP_CipherUpdate(context, nil, &ignored, data.copy(), Int32(data.byteCount)) == 1
  }
}
