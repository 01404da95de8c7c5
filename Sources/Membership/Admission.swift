import Wire

extension AdmissionRule {
  /// `nil` admits; else the reason, for people.
  func refusal(of tags: SerfTags) -> String? {
    switch self {
    case .anybody: nil
    case .nomadServers: Self.nomadRefusal(of: tags)
    }
  }

  private static func nomadRefusal(of tags: SerfTags) -> String? {
    guard tags["role"] == "nomad" else { return "is not a Nomad server" }
    guard let port = tags["port"], isInteger(port) else { return "has no integer tag 'port'" }
    guard let build = tags["build"], isVersion(build) else { return "has no version in tag 'build'" }
    for key in ["expect", "raft_vsn"] {
      if let value = tags[key], !isInteger(value) { return "has a tag '\(key)' that is no integer" }
    }
    return nil
  }

  /// Optional sign and decimal digits.
  static func isInteger(_ text: String) -> Bool {
    let digits = text.hasPrefix("-") || text.hasPrefix("+") ? text.utf8.dropFirst() : text.utf8[...]
    return isNumber(digits) && Int(text) != nil
  }

  /// Optional `v`, dotted numbers, optional `-pre`, optional `+meta`.
  static func isVersion(_ text: String) -> Bool {
    let body = text.hasPrefix("v") ? text.utf8.dropFirst() : text.utf8[...]
    let plain = body.split(separator: UInt8(ascii: "+"), maxSplits: 1, omittingEmptySubsequences: false)
    let parts = plain[0].split(separator: UInt8(ascii: "-"), maxSplits: 1, omittingEmptySubsequences: false)
    let numbers = parts[0].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return numbers.allSatisfy(isNumber) && parts.dropFirst().allSatisfy { !$0.isEmpty }
      && plain.dropFirst().allSatisfy { !$0.isEmpty }
  }

  private static func isNumber(_ digits: Substring.UTF8View) -> Bool {
    !digits.isEmpty && digits.allSatisfy { $0 >= 48 && $0 <= 57 }
  }
}
