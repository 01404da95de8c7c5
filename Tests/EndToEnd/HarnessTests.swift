import Base
import Glibc
import Harness
import Testing

/// The harness itself: a test that cannot fail proves nothing.
extension EndToEnd {
  @Suite struct HarnessItself {
    @Test func readsATableOnlyInTheExactLayout() throws {
      let text = "Name       Address\ns1.global  127.0.1.1\ns2         127.0.1.22\n"
      let table = try #require(Table(text, header: ["Name", "Address"]))
      #expect(table.column("Address") == ["127.0.1.1", "127.0.1.22"])
      #expect(table.row("s2")["Address"] == "127.0.1.22")
      #expect(Table("Name  Address\ns1.global  127.0.1.1\n", header: ["Name", "Address"]) == nil)
      #expect(Table("Name  Address  \n", header: ["Name", "Address"]) == nil)
      #expect(Table("Name  Address", header: ["Name", "Address"]) == nil)
    }

    @Test func endsAProcessWithItsWholeGroup() async throws {
      let directory = try TemporaryDirectory(prefix: "nomadd-harness")
      let output = "\(directory.path)/out"
      let process = try ChildProcess(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], output: output)
      try await eventually("the inner process id") { try FileText.read(output).hasSuffix("\n") }
      let inner = try #require(Int32(try FileText.read(output).dropLast()))
      #expect(process.result == nil)
      #expect(process.end() == .killed(signal: SIGKILL))
      try await eventually("the end of the inner process", within: .seconds(5)) { kill(inner, 0) != 0 }
    }

    @Test func reportsTheExitStatusAndBothOutputs() async throws {
      let directory = try TemporaryDirectory(prefix: "nomadd-harness")
      let process = try ChildProcess(
        ["/bin/sh", "-c", "echo to $WHOM; echo warning >&2; exit 3"], environment: ["WHOM": "out"],
        output: "\(directory.path)/out", error: "\(directory.path)/err")
      try await eventually("the end", within: .seconds(5)) { process.result != nil }
      #expect(process.result == .exited(3))
      #expect(try FileText.read("\(directory.path)/out") == "to out\n")
      #expect(try FileText.read("\(directory.path)/err") == "warning\n")
    }

    @Test func saysWhichProgramIsMissing() {
      #expect(throws: HarnessError.system("start /nonexistent", "No such file or directory")) {
        _ = try ChildProcess(["/nonexistent"], output: "/dev/null")
      }
    }
  }
}
