import Glibc

/// Standard error, one unbuffered line at a time.
public enum StandardError {
  public static func print(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    // Whoever closed standard error does not want the line.
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  }
}
