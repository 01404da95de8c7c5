import Base

/// Bytes of a golden vector; white space is only for reading.
func raftBytes(_ text: String) -> [UInt8] {
  let digits = text.utf8.filter { $0 > 32 }.map { UInt8($0 <= 57 ? $0 - 48 : $0 - 87) }
  precondition(digits.count % 2 == 0)
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
