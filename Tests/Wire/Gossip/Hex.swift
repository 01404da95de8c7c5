/// Test vectors are written as hexadecimal text; blanks and line breaks are ignored.
func hex(_ text: String) -> [UInt8] {
  let digits = text.utf8.compactMap { byte -> UInt8? in
    switch byte {
    case 48...57: byte - 48
    case 97...102: byte - 87
    default: nil
    }
  }
  return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }
