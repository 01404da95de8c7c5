import Base
import HTTP
import Wire

/// The endpoints of the HTTP API: a request becomes an immediate answer or an `APICall` for the agent, the agent's
/// answer becomes JSON. A value without state; every status code and text is that of http.md.
///
/// Use: `handle(request)`; on `.call` carry the call out and pass its answer with the context to `response(to:for:)`.
public struct APIMachine: Sendable {
  public let settings: APISettings

  public init(settings: APISettings) { self.settings = settings }

  /// Routes a request.
  public func handle(_ request: HTTPRequest) -> APIOutcome {
    if let redirect = redirect(request) { return .respond(redirect) }
    guard request.path.hasPrefix("/v1/") else { return .respond(Self.unknownPath) }
    do throws(APIFailure) {
      guard let plan = try route(request) else { return .respond(Self.unknownPath) }
      let context = APIContext(projection: plan.projection, isPretty: isPretty(request))
      switch plan.action {
      case .call(let call): return .call(call, context)
      case .answer(let answer): return .respond(response(to: answer, for: context))
      case .response(let response): return .respond(complete(response))
      }
    } catch {
      return .respond(response(to: .failure(error), for: APIContext(projection: .local, isPretty: false)))
    }
  }

  /// Turns the agent's answer into HTTP.
  public func response(to answer: APIAnswer, for context: APIContext) -> HTTPResponse {
    do throws(APIFailure) {
      return complete(try project(answer, context))
    } catch {
      return complete(HTTPResponse(status: status(of: error), text: error.text))
    }
  }

  // MARK: Answers

  /// An unregistered path: no body, no content type.
  static let unknownPath = HTTPResponse(status: 404)

  /// What every `/v1/...` answer carries.
  private func complete(_ response: HTTPResponse) -> HTTPResponse {
    var response = response
    response.headers.append(HTTPHeader("Vary", "Accept-Encoding"))
    response.headers += settings.responseHeaders
    return response
  }

  private func status(of failure: APIFailure) -> Int {
    // Upstream maps these two texts whatever stands before them (http.md section 2.1).
    if failure.text.hasSuffix("Permission denied") || failure.text.hasSuffix("ACL token not found") { return 403 }
    // A status may come from another server's text; only an error status is believed.
    guard let status = failure.status, (400...599).contains(status) else { return 500 }
    return status
  }

  private func project(_ answer: APIAnswer, _ context: APIContext) throws(APIFailure) -> HTTPResponse {
    switch answer {
    case .failure(let failure): throw normalized(failure)
    case .reply(let bytes):
      do throws(WireError) {
        return try projectReply(bytes, context)
      } catch {
        throw APIFailure("msgpack decode error: \(error)")
      }
    case .done: return HTTPResponse(status: 200)
    case .text(let bytes, let contentType):
      return HTTPResponse(status: 200, headers: [HTTPHeader("Content-Type", contentType)], body: bytes)
    case .snapshot(let archive, let digest):
      return HTTPResponse(
        status: 200,
        headers: [HTTPHeader("Content-Type", "application/x-gzip"), HTTPHeader("Digest", "sha-256=" + digest)],
        body: archive)
    case .health(var health):
      if case .health(let wantsServer, let wantsClient) = context.projection {
        if wantsServer, health.server == nil { health.server = .notEnabled("server") }
        if wantsClient, health.client == nil { health.client = .notEnabled("client") }
      }
      let isHealthy = health.server?.isHealthy != false && health.client?.isHealthy != false
      let body = json(health.json, context)
      return isHealthy ? jsonResponse(body) : HTTPResponse(status: 500, text: String(decoding: body, as: UTF8.self))
    case .agentSelf(let answer): return jsonResponse(json(answer.json, context))
    case .members(let answer): return jsonResponse(json(answer.json, context))
    case .join(let answer): return jsonResponse(json(answer.json, context))
    case .keyring(let answer): return jsonResponse(json(answer.json, context))
    case .servers(let servers): return jsonResponse(json(.array(servers.sorted().map { .string($0) }), context))
    case .json(let value): return jsonResponse(json(value, context))
    }
  }

  /// A failure with a code of its own in the text (`RPC Error:: 400,text`) keeps its code.
  private func normalized(_ failure: APIFailure) -> APIFailure {
    guard failure.status == nil, failure.text == "RPC Error:: 400,ACL support disabled" else { return failure }
    return APIFailure("ACL support disabled", status: 400)
  }

  private func projectReply(_ bytes: [UInt8], _ context: APIContext) throws(WireError) -> HTTPResponse {
    let span = bytes.borrowedBytes
    var converter = ReplyConverter(pretty: context.isPretty, reserving: bytes.count * 2 + 64)
    switch context.projection {
    case .nothing(let headers):
      return HTTPResponse(status: 200, headers: try ReplyMeta(span, headers).headers)
    case .whole(let shape, let headers):
      try converter.convert(span, at: 0, as: shape)
      return jsonResponse(converter.finish(), try ReplyMeta(span, headers).headers)
    case .member(let name, let shape, let headers, let missing):
      let meta = try ReplyMeta(span, headers).headers
      if let offset = try offset(of: name, in: span) {
        try converter.convert(span, at: offset, as: shape)
      } else if let missing {
        var response = HTTPResponse(status: 404, text: missing)
        response.headers += meta
        return response
      } else {
        converter.writeZero(shape)
      }
      return jsonResponse(converter.finish(), meta)
    case .serverHealth:
      try converter.convert(span, at: 0, as: Shapes.serverHealth)
      var isHealthy = false
      if let offset = try offset(of: "Healthy", in: span) {
        var reader = MessagePackReader(span, at: offset)
        isHealthy = try reader.readBool()
      }
      var response = jsonResponse(converter.finish())
      if !isHealthy { response.status = 429 }
      return response
    case .local, .health:
      // The same question answered by another agent: only members travel that way.
      try converter.convert(span, at: 0, as: Shapes.members)
      return jsonResponse(converter.finish())
    }
  }

  private func jsonResponse(_ body: [UInt8], _ headers: [HTTPHeader] = []) -> HTTPResponse {
    HTTPResponse(status: 200, headers: [HTTPHeader("Content-Type", "application/json")] + headers, body: body)
  }

  private func json(_ value: JSONValue, _ context: APIContext) -> [UInt8] {
    var writer = JSONWriter(pretty: context.isPretty)
    writer.write(value)
    return writer.finish()
  }

  // MARK: Requests

  /// Any value but exactly `0` turns it on.
  private func isPretty(_ request: HTTPRequest) -> Bool {
    request.query.first("pretty").map { $0 != "0" } ?? false
  }

  /// What Go's multiplexer and the registered redirects do before any endpoint (http.md section 1).
  private func redirect(_ request: HTTPRequest) -> HTTPResponse? {
    let suffix = request.query.text.isEmpty ? "" : "?" + request.query.text
    let cleaned = request.path.cleanedPath
    if request.path != cleaned, request.method != .connect, request.path != "*" {
      return Self.moved(301, "Moved Permanently", to: cleaned.percentEncoded(isPath: true) + suffix)
    }
    switch request.path {
    case "/": return Self.moved(307, "Temporary Redirect", to: "/ui/" + suffix)
    case "/ui", "/v1/agent/keyring":
      return Self.moved(301, "Moved Permanently", to: request.path + "/" + suffix)
    default: break
    }
    if request.path.hasPrefix("/ui/") { return StaticPage.ui }
    return nil
  }

  private static func moved(_ status: Int, _ name: String, to location: String) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: [HTTPHeader("Content-Type", "text/html; charset=utf-8"), HTTPHeader("Location", location)],
      body: Array("<a href=\"\(location.htmlEscaped)\">\(name)</a>.\n\n".utf8))
  }
}

extension String {
  fileprivate var htmlEscaped: String {
    var text = ""
    for character in self {
      switch character {
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "&": text += "&amp;"
      case "\"": text += "&#34;"
      case "'": text += "&#39;"
      default: text.append(character)
      }
    }
    return text
  }
}

/// The offset of a top-level member's value; `nil` when it is missing or nil.
private func offset(of name: StaticString, in bytes: RawSpan) throws(WireError) -> Int? {
  var reader = MessagePackReader(bytes)
  guard try reader.peekKind() == .map else { return nil }
  let wanted = name.description
  var found: Int?
  for _ in 0..<(try reader.readMapHeader()) {
    if try reader.readString() == wanted {
      let start = reader.offset
      var probe = MessagePackReader(bytes, at: start)
      found = try probe.readNil() ? nil : start
    }
    try reader.skip()
  }
  return found
}

/// The query metadata of an answer as headers.
private struct ReplyMeta {
  var headers: [HTTPHeader] = []

  init(_ bytes: RawSpan, _ kind: MetaHeaders) throws(WireError) {
    if case .none = kind { return }
    var index: UInt64 = 0
    var isLeaderKnown = false
    var lastContact = Interval.zero
    var nextToken = ""
    var reader = MessagePackReader(bytes)
    if try reader.peekKind() == .map {
      for _ in 0..<(try reader.readMapHeader()) {
        switch try reader.readString() {
        case "Index": index = try reader.readUInt64()
        case "KnownLeader": isLeaderKnown = try reader.readBool()
        case "LastContact": lastContact = .nanoseconds(try reader.readInt64())
        case "NextToken": nextToken = try reader.readString()
        default: try reader.skip()
        }
      }
    }
    headers.append(HTTPHeader("X-Nomad-Index", String(index)))
    if case .all = kind {
      headers.append(HTTPHeader("X-Nomad-KnownLeader", isLeaderKnown ? "true" : "false"))
      headers.append(HTTPHeader("X-Nomad-LastContact", String(lastContact.nanoseconds / 1_000_000)))
      if !nextToken.isEmpty { headers.append(HTTPHeader("X-Nomad-NextToken", nextToken)) }
    }
  }
}
