import Base
import HTTP

/// What a failed request looks like to the user, without the command's own words in front.
struct ClientError: Error {
  /// `Unexpected response code: 500 (No cluster leader)` or `Get "http://...": dial tcp ...`
  var text: String
}

/// One query parameter.
typealias Parameter = (name: String, value: String)

/// The HTTP API as the commands use it.
struct APIClient {
  var address: Address
  var region = ""
  var namespace = ""
  var token = ""
  /// `user:password` for basic authentication.
  var credentials = ""
  var transport: Transport

  func get(_ path: String, _ query: [Parameter] = []) throws(ClientError) -> JSONValue {
    try json(send("GET", path, query))
  }

  /// The value with its `X-Nomad-Index`.
  func getIndexed(_ path: String, _ query: [Parameter] = []) throws(ClientError) -> (value: JSONValue, index: UInt64) {
    let response = try send("GET", path, query)
    return (try json(response), index(response))
  }

  @discardableResult
  func put(_ path: String, _ query: [Parameter] = [], _ body: JSONValue? = nil) throws(ClientError) -> HTTPResponse {
    try send("PUT", path, query, body: body.map { Array($0.text().utf8) })
  }

  func delete(_ path: String, _ query: [Parameter]) throws(ClientError) { _ = try send("DELETE", path, query) }

  /// Throws for every status but 200, as the real client does.
  func send(
    _ method: String, _ path: String, _ query: [Parameter] = [], body: [UInt8]? = nil,
    sink: (([UInt8]) -> Void)? = nil
  ) throws(ClientError) -> HTTPResponse {
    let response = try sendAny(method, path, query, body: body, sink: sink)
    guard response.status == 200 else {
      throw ClientError(
        text: "Unexpected response code: \(response.status) (\(String(decoding: response.body, as: UTF8.self)))")
    }
    return response
  }

  /// Returns the answer whatever its status is.
  func sendAny(
    _ method: String, _ path: String, _ query: [Parameter] = [], headers: [HTTPHeader] = [], body: [UInt8]? = nil,
    sink: (([UInt8]) -> Void)? = nil
  ) throws(ClientError) -> HTTPResponse {
    var parameters = query
    for (name, value) in [("namespace", namespace), ("region", region)] where !value.isEmpty {
      if !parameters.contains(where: { $0.name == name }) { parameters.append((name, value)) }
    }
    // Go sorts by name and keeps the order of equal names.
    let sorted = parameters.enumerated().sorted { ($0.element.name, $0.offset) < ($1.element.name, $1.offset) }
    let text = sorted.map { $0.element.name.percentEncoded() + "=" + $0.element.value.percentEncoded() }
      .joined(separator: "&")
    let target = path + (text.isEmpty ? "" : (path.contains("?") ? "&" : "?") + text)
    var request = OutgoingRequest(method: method, address: address, target: target, headers: headers, body: body)
    if !token.isEmpty { request.headers.append(HTTPHeader("X-Nomad-Token", token)) }
    let basic = address.userInfo ?? credentials
    if !basic.isEmpty {
      let encoded = Base64.encode(Array((basic.contains(":") ? basic : basic + ":").utf8).borrowedBytes)
      request.headers.append(HTTPHeader("Authorization", "Basic " + encoded))
    }
    do throws(TransportError) {
      return try transport(request, sink)
    } catch {
      let verb = method.prefix(1) + method.dropFirst().lowercased()
      throw ClientError(text: "\(verb) \"\(address.text)\(target)\": \(error.text)")
    }
  }

  func json(_ response: HTTPResponse) throws(ClientError) -> JSONValue {
    do throws(JSONError) {
      return try JSONValue(parsing: response.body)
    } catch {
      throw ClientError(text: "the answer is not JSON: \(error.text)")
    }
  }

  func index(_ response: HTTPResponse) -> UInt64 {
    response.headers.first(named: "x-nomad-index").flatMap { UInt64($0) } ?? 0
  }
}
