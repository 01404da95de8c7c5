import Testing

@testable import Membership

@Suite struct TagPatternTests {
  @Test(arguments: [
    ("^nomad$", "nomad", true), ("^nomad$", "nomadd", false), ("oma", "nomad", true), ("", "", true),
    ("^$", "x", false), ("a|b", "xbx", true), ("^(dc1|dc[2-4])$", "dc3", true),
    ("^(dc1|dc[2-4])$", "dc5", false), ("^a*b+c?$", "aabb", true), ("^a*b+c?$", "aac", false),
    ("^\\d+\\.\\d+$", "1.10", true), ("^[^0-9]+$", "a1", false), ("(?:ab)+$", "xabab", true),
    ("^(a*)*$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false), (".", "\n", false), ("a.c", "abc", true),
    ("[]a]", "]", true), ("x|^y|z$", "az", true),
  ])
  func findsWhatTheSyntaxSays(pattern: String, text: String, expected: Bool) {
    #expect(TagPattern(pattern)?.matches(text) == expected)
  }

  @Test(arguments: ["(", ")", "a**", "*", "[a", "a{2}", "\\b", "(?i)a", "[[:alpha:]]", "\\"])
  func refusesWhatItDoesNotKnow(pattern: String) {
    #expect(TagPattern(pattern) == nil)
  }

  @Test func nestingIsBounded() {
    #expect(TagPattern(String(repeating: "(", count: 100) + String(repeating: ")", count: 100)) == nil)
  }
}
