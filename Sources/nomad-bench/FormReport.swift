import Base
import FoundationEssentials

/// Minimum, median and maximum of one quantity over the rounds.
struct Spread: Encodable, Equatable {
  var min: Double
  var median: Double
  var max: Double

  /// `nil` without values. The median of an even count is the mean of the middle two.
  init?(_ values: [Double]) {
    let sorted = values.sorted()
    guard let first = sorted.first, let last = sorted.last else { return nil }
    let middle = sorted.count / 2
    min = first
    median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    max = last
  }
}

/// The outcome of all rounds, as text and as JSON. Times are in milliseconds, memory in bytes.
struct FormReport: Encodable {
  struct Round: Encodable {
    var leaderKnownMillis: Double
    var agreedMillis: Double
    var firstRegistrationMillis: Double?
    var allRegisteredMillis: Double?
    var failoverMillis: Double?
    var residentBytes: [Int]
  }

  struct Summary: Encodable {
    var leaderKnownMillis: Spread?
    var agreedMillis: Spread?
    var firstRegistrationMillis: Spread?
    var allRegisteredMillis: Spread?
    var failoverMillis: Spread?
    var residentBytes: Spread?
  }

  var agent: String
  var servers: Int
  var clients: Int
  var expect: Int
  var join: String
  var knownLast: Bool
  var staggerMillis: Double
  var rounds: [Round]
  /// Why rounds failed, in their order.
  var failures: [String]
  var summary: Summary

  init(_ plan: FormPlan, results: [FormResult], failures: [String]) {
    agent = plan.command.joined(separator: " ")
    servers = plan.servers
    clients = plan.clients
    expect = plan.expect
    join = plan.join.rawValue
    knownLast = plan.knownLast
    staggerMillis = plan.stagger.milliseconds
    self.failures = failures
    rounds = results.map { result in
      Round(
        leaderKnownMillis: result.leaderKnown.milliseconds, agreedMillis: result.agreed.milliseconds,
        firstRegistrationMillis: result.firstRegistration?.milliseconds,
        allRegisteredMillis: result.allRegistered?.milliseconds,
        failoverMillis: result.failover?.milliseconds, residentBytes: result.resident)
    }
    summary = Summary(
      leaderKnownMillis: Spread(rounds.map(\.leaderKnownMillis)),
      agreedMillis: Spread(rounds.map(\.agreedMillis)),
      firstRegistrationMillis: Spread(rounds.compactMap(\.firstRegistrationMillis)),
      allRegisteredMillis: Spread(rounds.compactMap(\.allRegisteredMillis)),
      failoverMillis: Spread(rounds.compactMap(\.failoverMillis)),
      residentBytes: Spread(rounds.flatMap(\.residentBytes).map(Double.init)))
  }

  var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
  }

  var text: String {
    var headline = "\(servers) servers, bootstrap_expect \(expect)"
    if clients > 0 { headline += ", \(clients) client\(clients == 1 ? "" : "s")" }
    headline += ", join \(join)\(knownLast ? " (started last)" : ""), \(rounds.count) rounds of \(agent)"
    var rows = [["milliseconds from the last start", "min", "median", "max"]]
    func add(_ name: String, _ spread: Spread?, scale: Double = 1) {
      guard let spread else { return }
      rows.append([name] + [spread.min, spread.median, spread.max].map { decimal($0 * scale, places: 1) })
    }
    add("leader known to one server", summary.leaderKnownMillis)
    add("all servers name one leader", summary.agreedMillis)
    add("first client ready", summary.firstRegistrationMillis)
    if clients > 1 { add("all clients ready", summary.allRegisteredMillis) }
    add("new leader after a kill", summary.failoverMillis)
    add("resident memory of an idle server, MB", summary.residentBytes, scale: 1e-6)
    let widths = (0..<4).map { column in rows.map { $0[column].count }.max() ?? 0 }
    var lines = [headline, ""]
    for row in rows {
      var line = row[0] + String(repeating: " ", count: widths[0] - row[0].count)
      for column in 1..<4 {
        line += "  " + String(repeating: " ", count: widths[column] - row[column].count) + row[column]
      }
      lines.append(line)
    }
    for failure in failures { lines.append("failed: \(failure)") }
    return lines.joined(separator: "\n") + "\n"
  }
}
