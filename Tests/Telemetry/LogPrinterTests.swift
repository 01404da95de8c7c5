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

  // MARK: Rotation

  private func directory() throws -> URL {
    let url = FileManager.default.temporaryDirectory.appending(path: "logs-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url
  }

  private func write(_ text: String, _ printer: inout LogPrinter, at seconds: Int64) {
    var lines = sink(text)
    printer.print(&lines, at: WallTime(unixNanoseconds: seconds * 1_000_000_000))
  }

  @Test func aFullFileIsMovedAwayAndTheOldestAreRemoved() throws {
    let place = try directory()
    defer { try? FileManager.default.removeItem(at: place) }
    try "not ours".write(to: place.appending(path: "nomad-old.log"), atomically: true, encoding: .utf8)
    let path = place.appending(path: "nomad.log").path
    var printer = try LogPrinter(to: .file(path), rotating: LogRotation(bytesMax: 60, filesKept: 2))
    for number in 1...6 as ClosedRange<Int64> {
      write("line \(number) of more than forty bytes", &printer, at: 1_700_000_000 + number)
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: place.path).sorted()
    #expect(
      names == ["nomad-1700000005000000000.log", "nomad-1700000006000000000.log", "nomad-old.log", "nomad.log"])
    #expect(try String(contentsOfFile: path, encoding: .utf8).contains("line 6"))
    let last = try String(contentsOfFile: place.appending(path: names[1]).path, encoding: .utf8)
    #expect(last.contains("line 5"))
  }

  @Test func aFileIsMovedAwayWhenItsTimeIsOverAndNotWhenTheClockGoesBack() throws {
    let place = try directory()
    defer { try? FileManager.default.removeItem(at: place) }
    let path = place.appending(path: "agent").path
    var printer = try LogPrinter(to: .file(path), rotating: LogRotation(interval: .hours(24)))
    let day: Int64 = 86_400
    for seconds in [10 * day, 10 * day + 3600, day, day + 3600, 2 * day - 1, 2 * day, 2 * day + 5] {
      write("at \(seconds)", &printer, at: seconds)
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: place.path).sorted()
    #expect(names == ["agent", "agent-\(2 * day)000000000"])
  }

  @Test func whatAnEarlierProcessWroteCountsForTheSize() throws {
    let place = try directory()
    defer { try? FileManager.default.removeItem(at: place) }
    let path = place.appending(path: "nomad.log").path
    try String(repeating: "x", count: 100).write(toFile: path, atomically: true, encoding: .utf8)
    var printer = try LogPrinter(to: .file(path), rotating: LogRotation(bytesMax: 60))
    write("new", &printer, at: 1_700_000_000)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path).count == 2)
  }

  @Test func aRotationThatFailsCostsNoLine() throws {
    let place = try directory()
    defer { try? FileManager.default.removeItem(at: place) }
    let path = place.appending(path: "nomad.log").path
    var printer = try LogPrinter(to: .file(path), rotating: LogRotation(bytesMax: 10))
    write("first", &printer, at: 1_700_000_000)
    try FileManager.default.removeItem(atPath: path)
    write("second", &printer, at: 1_700_000_001)
    #expect(printer.lostBytes == 0)
  }
}
