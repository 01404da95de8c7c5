import Base
import Testing

@testable import HTTP

@Suite struct JSONTests {
  func parse(_ text: String) throws(JSONError) -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

  @Test func readsEveryKindOfValue() throws {
    let value = try parse(
      #" {"a":[1,-2,18446744073709551615,1.5,1e3],"b":{"c":null,"d":true,"e":false},"f":"\u00e4\ud83d\ude00\n\"/\/"} x"#
    )
    #expect(value["a"] == [1, -2, .unsigned(.max), 1.5, 1000.0])
    #expect(value["b"] == ["e": false, "d": true, "c": nil])
    #expect(value["f"] == "ä😀\n\"//")
  }

  @Test(arguments: [
    ("", "EOF"), ("  ", "EOF"), ("{", "unexpected EOF"), (#"{"a":"#, "unexpected EOF"), (#""ab"#, "unexpected EOF"),
    ("xx", "invalid character 'x' looking for beginning of value"),
    ("{a}", "invalid character 'a' looking for beginning of object key string"),
    (#"{"a" 1}"#, "invalid character '1' after object key"),
    (#"{"a":1 2}"#, "invalid character '2' after object key:value pair"),
    ("[1 2]", "invalid character '2' after array element"),
    ("trux", "invalid character 'x' in literal true (expecting 'e')"),
    ("\"\n\"", #"invalid character '\n' in string literal"#), (#""\q""#, "invalid character 'q' in string escape code"),
    ("-x", "invalid character 'x' in numeric literal"),
    ("1.x", "invalid character 'x' after decimal point in numeric literal"),
  ])
  func complainsAsGoDoes(text: String, message: String) {
    do throws(JSONError) {
      _ = try parse(text)
      Issue.record("accepted \(text)")
    } catch {
      #expect(error.text == message)
    }
  }

  @Test func boundsNesting() {
    #expect(throws: JSONError.tooDeep) { _ = try parse(String(repeating: "[", count: 100_000)) }
  }

  @Test func writesCompactAndPretty() {
    let value: JSONValue = ["A": [], "B": ["x": 1.0, "y": [1, "<&>\u{1}"]], "C": .object(JSONObject())]
    #expect(value.text() == #"{"A":[],"B":{"x":1.0,"y":[1,"<&>\u0001"]},"C":{}}"#)
    #expect(
      value.text(pretty: true) == """
        {
            "A": [],
            "B": {
                "x": 1.0,
                "y": [
                    1,
                    "<&>\\u0001"
                ]
            },
            "C": {}
        }

        """)
  }

  @Test func survivesRandomText() {
    var random = RandomSource(seed: 3)
    let alphabet = Array(#"{}[]",:\u0aeE+-.1tfn "#.utf8)
    for _ in 0..<20_000 {
      let bytes = (0..<Int(random.next() % 24)).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] }
      if let value = try? JSONValue(parsing: bytes) { _ = value.text() }
    }
  }

  @Test func cleansPathsAsGoDoes() {
    #expect("//v1/nodes".cleanedPath == "/v1/nodes")
    #expect("/v1/./nodes/../x/".cleanedPath == "/v1/x/")
    #expect("/../..".cleanedPath == "/")
    #expect("/v1/agent/keyring/".cleanedPath == "/v1/agent/keyring/")
  }
}
