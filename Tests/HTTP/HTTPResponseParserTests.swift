import Base
import Testing

@testable import HTTP

@Suite struct HTTPResponseParserTests {
  @Test func readsAnswersHowEverTheirBytesArrive() throws {
    let text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Internal Server Error\r\nX-A: b\r\nContent-Length: 2\r\n\r\nno"
      + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for size in [1, 3, 1000] {
      var parser = HTTPResponseParser()
      var found: [HTTPResponse] = []
      let bytes = Array(text.utf8)
      for start in stride(from: 0, to: bytes.count, by: size) {
        let part = Array(bytes[start..<min(bytes.count, start + size)])
        var offset = 0
        while let response = try parser.parse(part.borrowedBytes, from: &offset) { found.append(response) }
      }
      #expect(found.map(\.status) == [500, 200])
      #expect(found[0].headers == [HTTPHeader("X-A", "b"), HTTPHeader("Content-Length", "2")])
      #expect(found[0].body == Array("no".utf8))
      #expect(found[1].body == Array("abc".utf8))
    }
  }

  @Test func theEndOfTheStreamEndsAnAnswerWithoutALength() throws {
    var parser = HTTPResponseParser()
    var offset = 0
    #expect(try parser.parse(Array("HTTP/1.0 400 Bad Request\r\n\r\nhi".utf8).borrowedBytes, from: &offset) == nil)
    #expect(try parser.finish().body == Array("hi".utf8))
    var cut = HTTPResponseParser()
    offset = 0
    _ = try cut.parse(Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi".utf8).borrowedBytes, from: &offset)
    #expect(throws: HTTPResponseParser.Failure.truncated) { try cut.finish() }
    var none = HTTPResponseParser()
    #expect(throws: HTTPResponseParser.Failure.truncated) { try none.finish() }
  }

  @Test func refusesWhatIsNoAnswer() {
    var parser = HTTPResponseParser()
    #expect(throws: HTTPResponseParser.Failure.malformed) {
      var offset = 0
      _ = try parser.parse(Array("SSH-2.0-x\r\n".utf8).borrowedBytes, from: &offset)
    }
    var small = HTTPResponseParser(maximumBodyBytes: 4)
    #expect(throws: HTTPResponseParser.Failure.tooLarge) {
      var offset = 0
      _ = try small.parse(Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".utf8).borrowedBytes, from: &offset)
    }
  }
}
