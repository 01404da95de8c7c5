import Base
import Testing

@testable import Telemetry

@Suite struct LogFormatterTests {
  /// 2026-01-02T03:04:05.678901234Z
  static let time = WallTime(unixNanoseconds: 1_767_323_045_678_901_234)

  private func format(_ form: LogFormatter.Form, _ write: (inout LogSink) -> Void) -> String {
    var sink = LogSink(minimum: .trace)
    write(&sink)
    var formatter = LogFormatter(form)
    var bytes: [UInt8] = []
    for line in sink.lines { formatter.append(line, at: Self.time, to: &bytes) }
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func textLinesLookLikeNomads() {
    let text = format(.text) {
      $0.log(.info, "nomad.raft", "election won", ["term": "2", "tally": "2"])
      $0.log(.warn, "nomad", "no leader", ["error": "No cluster leader", "empty": ""])
      $0.log(.error, "agent", "plain")
      $0.log(.debug, "", "no module")
      $0.log(.trace, "client", "next heartbeat", ["period": "10s"])
    }
    #expect(
      text == """
        2026-01-02T03:04:05.678Z [INFO]  nomad.raft: election won: term=2 tally=2
        2026-01-02T03:04:05.678Z [WARN]  nomad: no leader: error="No cluster leader" empty=
        2026-01-02T03:04:05.678Z [ERROR] agent: plain
        2026-01-02T03:04:05.678Z [DEBUG] no module
        2026-01-02T03:04:05.678Z [TRACE] client: next heartbeat: period=10s

        """)
  }

  @Test func foreignTextCannotForgeALine() {
    let text = format(.text) {
      $0.log(.info, "nomad", "name\nis \u{1B}[31mred", ["name": "a\n2026 [ERROR] \"b\\", "plain": "a\\b"])
    }
    #expect(
      text
        == #"2026-01-02T03:04:05.678Z [INFO]  nomad: name\nis \u001b[31mred: "#
        + #"name="a\n2026 [ERROR] \"b\\" plain=a\b"# + "\n")
  }

  @Test func jsonLinesHaveTheNamesOfHclog() {
    let text = format(.json) { $0.log(.info, "nomad.raft", "say \"hi\"", ["peer": "ü\n"]) }
    #expect(
      text
        == #"{"@level":"info","@message":"say \"hi\"","@module":"nomad.raft","#
        + #""@timestamp":"2026-01-02T03:04:05.678901Z","peer":"ü\n"}"# + "\n")
  }

  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
    (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999Z"), (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000Z"),
    (Int64.max, "2262-04-11T23:47:16.854Z"), (Int64.min, "1677-09-21T00:12:43.145Z"),
  ] as [(Int64, String)])
  func civilTimeFollowsTheCalendar(nanoseconds: Int64, expected: String) {
    var text = CivilTimeText()
    var bytes: [UInt8] = []
    text.append(WallTime(unixNanoseconds: nanoseconds), to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == expected)
  }
}
