import Base
import Glibc
import Harness

/// What the disk itself takes for the least that a durable write needs: 512 bytes in place and `fdatasync`.
struct DiskProbe: Encodable {
  static let rounds = 400
  private static let blockBytes = 512
  private static let fileBytes = 1 << 20

  var p50Millis: Double
  var p99Millis: Double
  var perSecond: Double

  /// Writes a file of one megabyte in the directory, times the calls, and removes it.
  init(directory: String) throws(HarnessError) {
    let path = "\(directory)/nomad-bench-probe"
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system("create \(path)", "error \(errno)") }
    defer {
      close(descriptor)
      unsafe unlink(path)
    }
    let whole = [UInt8](repeating: 1, count: Self.fileBytes)
    let block = [UInt8](repeating: 2, count: Self.blockBytes)
    var isWritten = unsafe whole.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) == $0.count }
    isWritten = isWritten && fsync(descriptor) == 0
    var times = LatencyHistogram()
    let start = MonotonicClock.now()
    for round in 0..<Self.rounds where isWritten {
      let begin = MonotonicClock.now()
      let offset = off_t(round * Self.blockBytes % Self.fileBytes)
      isWritten = unsafe block.withUnsafeBytes {
        unsafe pwrite(descriptor, $0.baseAddress, $0.count, offset) == $0.count
      }
      isWritten = isWritten && fdatasync(descriptor) == 0
      times.add(MonotonicClock.now() - begin)
    }
    guard isWritten else { throw .system("write \(path)", "error \(errno)") }
    p50Millis = times.quantile(0.5).milliseconds
    p99Millis = times.quantile(0.99).milliseconds
    perSecond = Double(Self.rounds) / (MonotonicClock.now() - start).seconds
  }
}
