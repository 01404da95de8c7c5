import Base
import Foundation
import Testing

@testable import Telemetry

@Suite struct LogPrinterTests {
  private func temporaryPath() -> String {
    FileManager.default.temporaryDirectory.appending(path: "log-\(UUID().uuidString)").path
  }

  private func sink(_ messages: String...) -> LogSink {
    var sink = LogSink()
    for message in messages { sink.log(.info, "agent", message) }
    return sink
  }

  @Test func aFileIsAppendedToAndReopenedAfterItMoved() throws {
    let path = temporaryPath()
    defer { for suffix in ["", ".1"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
    var printer = try LogPrinter(to: .file(path))
    var lines = sink("one", "two")
    printer.print(&lines, at: WallTime(unixNanoseconds: 0))
    #expect(lines.lines.isEmpty)
    try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
    try printer.reopen()
    lines = sink("three")
    printer.print(&lines, at: WallTime(unixNanoseconds: 0))
    let old = try String(contentsOfFile: path + ".1", encoding: .utf8)
    #expect(old == "1970-01-01T00:00:00.000Z [INFO]  agent: one\n1970-01-01T00:00:00.000Z [INFO]  agent: two\n")
    let new = try String(contentsOfFile: path, encoding: .utf8)
    #expect(new == "1970-01-01T00:00:00.000Z [INFO]  agent: three\n")
  }

  @Test func aSinkThatLostLinesSaysSo() throws {
    let path = temporaryPath()
    defer { try? FileManager.default.removeItem(atPath: path) }
    var lines = LogSink()
    for _ in 0..<5000 { lines.log(.info, "agent", "x") }
    let dropped = lines.dropped
    var printer = try LogPrinter(to: .file(path))
    printer.print(&lines, at: WallTime(unixNanoseconds: 0))
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(text.contains("[WARN]  agent: log lines lost: count=\(dropped)\n"))
    #expect(text.split(separator: "\n").count == 5000 - dropped + 1)
    #expect(printer.lostBytes == 0)
  }

  /// /dev/full takes nothing, as a full disk.
  @Test func aDestinationThatTakesNothingCostsOnlyLines() throws {
    var printer = try LogPrinter(to: .file("/dev/full"))
    var lines = sink("lost")
    printer.print(&lines, at: WallTime(unixNanoseconds: 0))
    #expect(printer.lostBytes == "1970-01-01T00:00:00.000Z [INFO]  agent: lost\n".utf8.count)
  }

  @Test func aFileThatCannotBeOpenedIsExplained() {
    let error = #expect(throws: LogFileError.self) { _ = try LogPrinter(to: .file("/nonexistent/x.log")) }
    #expect(error?.description == "cannot open log file /nonexistent/x.log: No such file or directory")
  }
}
