import Base
import HTTP

/// Nomad's form of a stored keyring: a JSON list of keys in base64, the primary first.
enum KeyringFile {
  static func encode(_ keys: [[UInt8]]) -> [UInt8] {
    Array(JSONValue.array(keys.map { .string(Base64.encode($0.bytes)) }).text().utf8)
  }

  /// Nil when it is no such list.
  static func decode(_ bytes: [UInt8]) -> [[UInt8]]? {
    var keys: [[UInt8]] = []
    do throws(JSONError) {
      for text in try JSONValue(parsing: bytes).array ?? [] {
        guard let base64 = text.string else { return nil }
        do throws(Base64Error) { keys.append(try Base64.decode(base64)) } catch { return nil }
      }
    } catch {
      return nil
    }
    return keys
  }
}
