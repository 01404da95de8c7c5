import Glibc
import Testing

@testable import Reactor

@Suite struct HostSystemTests {
  @Test func codeThatWasGivenBackReturnsWhenItIsNeeded() throws {
    let before = try residentFilePages()
    HostSystem.releaseCode()
    let after = try residentFilePages()
    #expect(after < before)
    #expect(HostSystem.processorCount > 0)
    #expect(!HostSystem.name.isEmpty)
  }

  /// The pages of files that are mapped here and in memory: `shared` of /proc/self/statm.
  private func residentFilePages() throws -> Int {
    let opened = unsafe fopen("/proc/self/statm", "r")
    let file = try unsafe #require(opened)
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    unsafe line.withUnsafeMutableBufferPointer { _ = unsafe fgets($0.baseAddress, 256, file) }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return try #require(Int(text.split(separator: " ")[2]))
  }
}
