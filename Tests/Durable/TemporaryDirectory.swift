import Foundation

/// A fresh directory that goes away with the value.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/durable-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    do { try FileManager.default.removeItem(atPath: path) } catch { print("left behind: \(path)") }
  }

  /// Changes one byte of a file, at an offset from its start, or from its end when negative.
  func damage(_ name: String, at offset: Int) throws {
    let url = URL(fileURLWithPath: path + "/" + name)
    var bytes = try Data(contentsOf: url)
    bytes[offset < 0 ? bytes.count + offset : offset] ^= 0xFF
    try bytes.write(to: url)
  }
}
