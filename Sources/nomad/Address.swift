/// Where the agent is: a URL taken apart.
struct Address: Equatable {
  var scheme: String
  var host: String
  var port: UInt16
  /// `user:password` of the URL.
  var userInfo: String?
  /// As it is shown in messages and sent as `Host`.
  var authority: String

  static let `default` = "http://127.0.0.1:4646"

  /// `scheme://authority`, or less when the URL had less.
  var text: String { scheme.isEmpty ? "" : scheme + "://" + authority }

  /// Why a text is no URL, as Go's parser says it.
  struct Failure: Error {
    var text: String
  }

  init(_ url: String) throws(Failure) {
    var rest = Substring(url)
    scheme = ""
    if let colon = rest.firstIndex(of: ":"), Self.isScheme(rest[..<colon]) {
      scheme = rest[..<colon].lowercased()
      rest = rest[rest.index(after: colon)...]
    } else if rest.prefix(while: { $0 != "/" }).contains(":") {
      throw Failure(text: "parse \"\(url)\": first path segment in URL cannot contain colon")
    }
    rest = rest.hasPrefix("//") ? rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" } : ""
    if let at = rest.lastIndex(of: "@") {
      userInfo = String(rest[..<at])
      rest = rest[rest.index(after: at)...]
    }
    authority = String(rest)
    port = scheme == "https" ? 443 : 80
    if let colon = rest.lastIndex(of: ":"), rest[colon...].firstIndex(of: "]") == nil {
      let digits = rest[rest.index(after: colon)...]
      if !digits.isEmpty {
        guard let number = UInt16(digits) else {
          throw Failure(text: "parse \"\(url)\": invalid port \":\(digits)\" after host")
        }
        port = number
      }
      rest = rest[..<colon]
    }
    host = rest.hasPrefix("[") && rest.hasSuffix("]") ? String(rest.dropFirst().dropLast()) : String(rest)
  }

  private static func isScheme(_ text: Substring) -> Bool {
    guard let first = text.utf8.first, isLetter(first) else { return false }
    return text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x2B || $0 == 0x2D || $0 == 0x2E }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte & 0xDF) }
}
