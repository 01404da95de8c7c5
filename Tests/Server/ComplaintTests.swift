import Base
import Testing

@testable import Server

@Suite struct ComplaintTests {
  @Test func aRepeatedComplaintIsWrittenOnceAndThenSummedUp() {
    var complaint = Complaint()
    var written: [(at: Int64, count: Int)] = []
    for tick in 0..<1200 {
      let now = Instant.start + .milliseconds(Int64(tick) * 300)
      if let count = complaint.count("refused", at: now) { written.append((now.nanoseconds / 1_000_000_000, count)) }
    }
    #expect(written.map(\.at) == [0, 5, 15, 35, 75, 155, 315])
    #expect(written.first?.count == 1)
    #expect(written.map(\.count).reduce(0, +) <= 1200)
  }

  @Test func anotherTextIsWrittenAtOnceButNotMoreThanOnceASecond() {
    var complaint = Complaint()
    #expect(complaint.count("refused", at: .start) == 1)
    #expect(complaint.count("timed out", at: .start + .milliseconds(300)) == nil)
    #expect(complaint.count("timed out", at: .start + .milliseconds(1100)) == 2)
    #expect(complaint.count("timed out", at: .start + .milliseconds(1400)) == nil)
  }
}
