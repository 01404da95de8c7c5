import Base
import Testing

@testable import Configuration

/// The HCL and JSON readers by themselves.
@Suite struct LanguageTests {
  private func parse(_ text: String) throws(ConfigurationError) -> Block {
    try HCLParser.parse(SourceText(Array(text.utf8), path: "a.hcl"))
  }

  private func json(_ text: String) throws(ConfigurationError) -> Block {
    try JSONParser.parse(SourceText(Array(text.utf8), path: "a.json"))
  }

  private func value(_ text: String) throws -> Value.Kind? { try parse("key = " + text).items.first?.value.kind }

  private func complaint(_ text: String) -> String? {
    do {
      _ = try parse(text)
      return nil
    } catch { return error.description }
  }

  private func jsonComplaint(_ text: String) -> String? {
    do {
      _ = try json(text)
      return nil
    } catch { return error.description }
  }

  @Test func escapesBecomeCharacters() throws {
    #expect(
      try value(#""\a\b\f\n\r\t\v\\\"\101\x41\u00e9\U0001F600""#)
        == .text("\u{7}\u{8}\u{c}\n\r\t\u{b}\\\"AA\u{e9}\u{1F600}"))
  }

  @Test func interpolationIsKeptAsItStands() throws {
    #expect(try value(#""${attr.kernel["name"]} x""#) == .text(#"${attr.kernel["name"]} x"#))
    #expect(try value(#""a ${b{c}d} e""#) == .text("a ${b{c}d} e"))
  }

  @Test func heredocEndsWithANewline() throws {
    #expect(try value("<<EOF\nx\nEOF\n") == .text("x\n"))
    #expect(try value("<<EOF\r\nx\r\nEOF\r\n") == .text("x\n"))
    #expect(try value("<<EOF\nEOF") == .text(""))
    #expect(try value("<<EOF\n  EOF\nEOF") == .text("  EOF\n"))
  }

  @Test func indentedHeredocLosesTheSharedIndentation() throws {
    #expect(try value("<<-EOF\n    a\n\n      b\n    EOF\n") == .text("a\n\n  b\n"))
  }

  @Test(arguments: ["0", "-5", "0x1F", "017", "3.25", "1e3", "-1.5E-2"])
  func numbersKeepTheirSource(_ text: String) throws {
    #expect(try value(text) == .number(text))
  }

  @Test func listsTakeATrailingComma() throws {
    guard case .list(let values)? = try value("[\"a\", 2, true,\n # why\n [\"b\"], { c = 1 },\n]") else {
      Issue.record("no list")
      return
    }
    #expect(values.count == 5)
    #expect(try value("[]") == .list([]))
  }

  @Test func commentsOfAllThreeKindsAreSkipped() throws {
    let block = try parse("# one\n// two\n/* three\n } */ a = 1 # four\nb = \"x\" // five\n/**/c = 2/* six */d = 3")
    #expect(block.items.map(\.key) == ["a", "b", "c", "d"])
  }

  @Test func itemsMayShareALineWithOrWithoutCommas() throws {
    #expect(try parse(#"a = "x" b = "y", c = 1"#).items.map(\.key) == ["a", "b", "c"])
    #expect(try parse(#"ports { http = 1, rpc = 2 }"#).items.first?.value.kind != nil)
  }

  @Test func labelsAndQuotedKeysAreKept() throws {
    let item = try #require(try parse(#"plugin "docker" "x" { }"#).items.first)
    #expect(item.key == "plugin")
    #expect(item.labels.map(\.text) == ["docker", "x"])
    #expect(try parse(#""quoted.key" = "v""#).items.first?.key == "quoted.key")
  }

  @Test func windowsLineEndsAreAccepted() throws {
    #expect(try parse("a = 1\r\nb {\r\n}\r\n").items.map(\.key) == ["a", "b"])
  }

  @Test func placesCountCharactersFromOne() throws {
    let block = try parse("a = 1\n  é = \"ü\"  b = 2\n")
    #expect(block.items.map { "\($0.place)" } == ["a.hcl:1:1", "a.hcl:2:3", "a.hcl:2:12"])
    #expect(block.items.map { "\($0.value.place)" } == ["a.hcl:1:5", "a.hcl:2:7", "a.hcl:2:16"])
  }

  @Test func syntaxErrorsNameThePlaceTheFindAndTheRemedy() {
    let cases: [(String, String)] = [
      ("server {\n", "2:1: the block opened at a.hcl:1:8 is not closed; add the missing \"}\""),
      ("}", "1:1: this \"}\" closes no block; remove it"),
      (
        "a = = 1",
        "1:5: found \"=\" where the value of a should be; write a \"text\", a number, true, false, [ ... ] or { ... }"
      ),
      (
        "a =",
        "1:4: found the end of the file where the value of a should be; write a \"text\", a number, true, false, "
          + "[ ... ] or { ... }"
      ),
      ("a = abc", "1:5: found the bare word \"abc\" as the value of a; write \"abc\""),
      ("log_level = debug # x", "1:13: found the bare word \"debug\" as the value of log_level; write \"debug\""),
      ("a = \"abc\nb = 1", "1:5: this text has no closing quote on its line; add the missing '\"'"),
      ("a = \"\\q\"", "1:6: \\ before \"q\" is no escape; write \\\\ for a backslash"),
      ("a = \"\\u12\"", "1:6: \"12\" is not the number of a character; write 4 digits"),
      ("a = \"\\ud800\"", "1:6: \"d800\" is not the number of a character; write 4 digits"),
      ("a \"b\" = 1", "1:7: found \"=\" after a \"b\", where a block should begin; write \"{\", or remove the label"),
      ("a : 1", "1:3: found \":\" after a; HCL wants \"=\" there"),
      ("a", "1:2: found the end of the file after a; write a = value or a { ... }"),
      ("a\nb = 1", "1:2: found the end of the line after a; write a = value or a { ... }"),
      ("= 1", "1:1: found \"=\" where a key should be; write key = value or key { ... }"),
      ("5 = 1", "1:1: found \"5\" where a key should be; write key = value or key { ... }"),
      ("a = [1\n", "2:1: the list opened at a.hcl:1:5 is not closed; add the missing \"]\""),
      ("a = [1 2]", "1:8: found \"2\" in the list of a; put \",\" between two values or \"]\" after the last"),
      (
        "a = [,]",
        "1:6: found \",\" where the value of a should be; write a \"text\", a number, true, false, [ ... ] or { ... }"
      ),
      ("a = 5s", "1:5: 5s is not a number; write \"5s\" if it is a text or a duration"),
      ("a = 10.0.0.1", "1:5: 10.0.0.1 is not a number; write \"10.0.0.1\" if it is a text or a duration"),
      ("a = <<EOF\nx\n", "1:5: this text has no closing line; add a line that holds only EOF"),
      ("a = << EOF\n", "1:5: << must be followed by a word and a new line; write <<EOT"),
      ("a = 1 /* b", "1:7: this comment is not closed; add the missing \"*/\""),
      ("\u{FEFF}a = 1", "1:1: the file starts with a byte order mark; save it as UTF-8 without one"),
      ("a = “x”", "1:5: found the bare word \"“x”\" as the value of a; write \"“x”\""),
    ]
    for (text, wanted) in cases { #expect(complaint(text) == "a.hcl:" + wanted) }
  }

  @Test func nestingIsBounded() {
    let deep = String(repeating: "a {\n", count: SourceText.maximumDepth + 1)
    #expect(complaint(deep) == "a.hcl:33:3: blocks and lists are nested more than 32 deep; flatten them")
    let lists = "a = " + String(repeating: "[", count: 100_000)
    #expect(complaint(lists) == "a.hcl:1:37: blocks and lists are nested more than 32 deep; flatten them")
    let objects = "{\"a\":" + String(repeating: "[", count: 100_000)
    #expect(jsonComplaint(objects) == "a.json:1:37: objects and lists are nested more than 32 deep; flatten them")
  }

  @Test func bytesThatAreNotTextAreRefused() {
    #expect(
      throws: ConfigurationError(
        "the bytes here are not UTF-8; save the file as UTF-8", at: .file(path: "x", line: 2, column: 3))
    ) {
      try SourceText(Array("a\nbc".utf8) + [0xFF, 0x20], path: "x")
    }
    #expect(throws: ConfigurationError.self) {
      try SourceText([UInt8](repeating: 32, count: SourceText.maximumBytes + 1), path: "x")
    }
  }

  @Test func jsonReadsEveryKindOfValue() throws {
    let block = try json(#"{"a": "x\/\n\ud83d\ude00", "b": -1.5e3, "c": [true, null, {}], "d": {"e": []}}"#)
    #expect(block.items.map(\.key) == ["a", "b", "c", "d"])
    #expect(block.items[0].value.kind == .text("x/\n\u{1F600}"))
    #expect(block.items[1].value.kind == .number("-1.5e3"))
  }

  @Test func jsonErrorsNameThePlaceTheFindAndTheRemedy() {
    let cases: [(String, String)] = [
      (
        #"{"region": }"#,
        #"1:12: found "}" where the value of "region" should be; write a "text", a number, true, false, [ ... ] "#
          + #"or { ... }"#
      ),
      (#"{"a": 1,}"#, #"1:9: found "}" where a key in double quotes should be; write "key": value"#),
      (#"{a: 1}"#, #"1:2: found "a" where a key in double quotes should be; write "key": value"#),
      (#"{"a" 1}"#, #"1:6: found "1" after the key "a"; JSON wants ":" there"#),
      (#"{"a": 1 "b": 2}"#, #"1:9: found "\"" in the object opened at a.json:1:1; JSON wants "," or "}" there"#),
      (#"{"a": [1"#, #"1:9: the list opened at a.json:1:7 is not closed; add the missing "]""#),
      (#"{"a": 1"#, #"1:8: the object opened at a.json:1:1 is not closed; add the missing "}""#),
      (#"{} x"#, #"1:4: found "x" after the document; a file holds one JSON object"#),
      (
        #"{"a": nan}"#,
        #"1:7: found "nan" where the value of "a" should be; write a "text", a number, true, false, [ ... ] or { ... }"#
      ),
      (
        #"{"a": 0x10}"#,
        #"1:7: found "0x10" where the value of "a" should be; write a "text", a number, true, false, [ ... ] or { "#
          + #"... }"#
      ),
      (#"{"a": "\ud83d"}"#, #"1:8: "d83d" is not the number of a character; write 4 digits"#),
    ]
    for (text, wanted) in cases { #expect(jsonComplaint(text) == "a.json:" + wanted) }
  }

  @Test func durationsFollowGo() {
    #expect(Interval(duration: "1h30m10.5s") == .nanoseconds(5_410_500_000_000))
    #expect(Interval(duration: "0") == .zero)
    #expect(Interval(duration: "-1.5h") == .minutes(-90))
    #expect(Interval(duration: ".5s") == .milliseconds(500))
    #expect(Interval(duration: "1us2µs3ns") == .nanoseconds(3003))
    #expect(Interval(duration: "2540400h") == .hours(2_540_400))
    for text in [
      "", "10", "s", "1d", "1 s", "1s ", "--1s", "+", ".", ".s", "1.s.", "99999999999999999999s", "9999999h",
    ] {
      #expect(Interval(duration: text) == nil, "\(text)")
    }
  }

  @Test func base64IsStrict() {
    #expect("".base64Bytes == [])
    #expect("AQ==".base64Bytes == [1])
    #expect("AQI=".base64Bytes == [1, 2])
    #expect("+/8A".base64Bytes == [0xFB, 0xFF, 0])
    for text in ["A", "AQ", "AQ=", "A===", "====", "AQ=A", "A?==", "AQ==AQ=="] {
      #expect(text.base64Bytes == nil, "\(text)")
    }
  }

  /// Every prefix and every one-byte change of a real file either parses or is refused with a place: nothing traps.
  @Test func damagedFilesAreRefusedNotTrapped() {
    let text = Array(
      "a = \"x\\u00e9${b}\" /* c */ # d\nserver \"l\" { e = [1, 2.5e3, <<-F\n  g\n  F\n, true] }\nh = { i = 0x1F }".utf8
    )
    var refusals = 0
    func check(_ bytes: [UInt8]) {
      for json in [false, true] {
        do {
          let source = try SourceText(bytes, path: "a")
          _ = try json ? JSONParser.parse(source) : HCLParser.parse(source)
        } catch {
          if error.place != nil { refusals += 1 } else { Issue.record("no place: \(error)") }
        }
      }
    }
    for end in 0..<text.count { check(Array(text[..<end])) }
    for index in 0..<text.count {
      for byte in [0, 10, 34, 36, 44, 60, 61, 91, 92, 93, 123, 125, 0x80, 0xFF] as [UInt8] {
        var damaged = text
        damaged[index] = byte
        check(damaged)
      }
    }
    #expect(refusals > 1000)
  }
}
