import Base
import HTTP
import Wire

/// The parameters that most endpoints share (http.md section 4).
struct QueryParameters: Hashable {
  var region: String
  var namespace: String
  var allowStale = false
  var minIndex: UInt64 = 0
  var maxWait = Interval.zero
  var prefix: String
  var perPage: Int32 = 0
  var nextToken: String
  var filter: String
  var isReversed = false
  var token: String

  init(_ request: HTTPRequest, _ settings: APISettings) throws(APIFailure) {
    let query = request.query
    if let text = query.first("wait") {
      guard let wait = GoDuration.parse(text) else { throw APIFailure("Invalid wait time", status: 400) }
      maxWait = wait
    }
    if let text = query.first("index") {
      guard let index = UInt64(text), text.utf8.first != 0x2B else { throw APIFailure("Invalid index", status: 400) }
      minIndex = index
    }
    if let text = query.first("stale") {
      guard let flag = text.isEmpty ? true : goBool(text) else {
        throw APIFailure("Expect `true` or `false` for `stale` query string parameter", status: 400)
      }
      allowStale = flag
    }
    if let text = query.first("reverse"), let flag = text.isEmpty ? true : goBool(text) { isReversed = flag }
    if let text = query.first("per_page") {
      guard let count = Int32(text) else {
        throw APIFailure("Expect a number for `per_page` query string parameter", status: 400)
      }
      perPage = count
    }
    region = query.first("region").flatMap { $0.isEmpty ? nil : $0 } ?? settings.region
    namespace = query.first("namespace").flatMap { $0.isEmpty ? nil : $0 } ?? "default"
    prefix = query.first("prefix") ?? ""
    nextToken = query.first("next_token") ?? ""
    filter = query.first("filter") ?? ""
    token = Self.token(of: request)
  }

  private static func token(of request: HTTPRequest) -> String {
    if let token = request.header("x-nomad-token"), !token.isEmpty { return token }
    let words = (request.header("authorization") ?? "").split(separator: " ", omittingEmptySubsequences: true)
    return words.count == 2 && String(words[0]).equalsIgnoringCase("bearer") ? String(words[1]) : ""
  }
}

/// The words of Go's `strconv.ParseBool`.
func goBool(_ text: String) -> Bool? {
  switch text {
  case "1", "t", "T", "TRUE", "true", "True": true
  case "0", "f", "F", "FALSE", "false", "False": false
  default: nil
  }
}

/// Writes an RPC request: fields in the order given, counted at the end.
struct RPCBody {
  private var fields: [UInt8] = []
  private var count = 0

  /// The whole request: header and fields.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(fields.count + 3)
    bytes.packMapHeader(count)
    bytes.append(contentsOf: fields)
    return bytes
  }

  mutating func add(_ name: StaticString, _ write: (inout [UInt8]) -> Void) {
    fields.pack(name)
    write(&fields)
    count += 1
  }

  mutating func add(_ name: StaticString, _ text: String) { add(name) { $0.pack(text) } }
  mutating func add(_ name: StaticString, _ flag: Bool) { add(name) { $0.pack(flag) } }
  mutating func addNil(_ name: StaticString) { add(name) { $0.packNil() } }

  /// The fields that every read carries (rpc.md section 4).
  mutating func addQuery(_ parameters: QueryParameters) {
    add("Region", parameters.region)
    add("Namespace", parameters.namespace)
    add("MinQueryIndex") { $0.pack(unsigned: parameters.minIndex) }
    add("MaxQueryTime") { $0.pack(parameters.maxWait) }
    add("AllowStale", parameters.allowStale)
    add("Prefix", parameters.prefix)
    add("AuthToken", parameters.token)
    add("PerPage") { $0.pack(signed: Int64(parameters.perPage)) }
    add("NextToken", parameters.nextToken)
    // Older servers do not know these two; they are sent only when asked for.
    if !parameters.filter.isEmpty { add("Filter", parameters.filter) }
    if parameters.isReversed { add("Reverse", true) }
    add("Forwarded", false)
  }

  /// The fields that every write carries.
  mutating func addWrite(_ parameters: QueryParameters) {
    add("Region", parameters.region)
    add("Namespace", parameters.namespace)
    add("AuthToken", parameters.token)
    add("Forwarded", false)
  }
}
