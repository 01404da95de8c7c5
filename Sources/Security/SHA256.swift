import COpenSSL

/// The SHA-256 digest, by OpenSSL.
public enum SHA256 {
  public static let digestBytes = 32

  /// The digest of the bytes; nil when the library cannot compute it (a build without the algorithm).
  public static func digest(_ bytes: [UInt8]) -> [UInt8]? {
    var digest = [UInt8](repeating: 0, count: digestBytes)
    var count = UInt32(digestBytes)
    let isDone = unsafe bytes.withUnsafeBytes { input in
      unsafe EVP_Digest(input.baseAddress, input.count, &digest, &count, EVP_sha256(), nil) == 1
    }
    return isDone && Int(count) == digestBytes ? digest : nil
  }
}
