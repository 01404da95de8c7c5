// Everything the command asks of the operating system, apart from sockets.
import Glibc
import HTTP

enum StandardStream: Int32 {
  case output = 1
  case error = 2
}

func write(_ text: String, to stream: StandardStream) { writeBytes(Array(text.utf8), to: stream) }

func writeBytes(_ bytes: [UInt8], to stream: StandardStream) {
  _ = writeAll(bytes, descriptor: stream.rawValue)
}

private func writeAll(_ bytes: [UInt8], descriptor: Int32) -> Bool {
  var offset = 0
  while offset < bytes.count {
    let count = unsafe bytes.withUnsafeBytes {
      unsafe write(descriptor, $0.baseAddress?.advanced(by: offset), $0.count - offset)
    }
    if count < 0 {
      if errno == EINTR { continue }
      return false
    }
    offset += count
  }
  return true
}

/// The value of an environment variable; `nil` when it is not set.
func environment(_ name: String) -> String? {
  guard let value = unsafe getenv(name) else { return nil }
  return unsafe String(cString: value)
}

/// The text of an error number, in lower case as Go writes it.
func systemMessage(_ code: Int32) -> String {
  guard let text = unsafe strerror(code) else { return "errno \(code)" }
  let message = unsafe String(cString: text)
  return message.prefix(1).lowercased() + message.dropFirst()
}

/// True when a person is at the other end.
func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

/// Everything on standard input.
func readStandardInput() -> [UInt8] { readAll(descriptor: 0) ?? [] }

private func readAll(descriptor: Int32) -> [UInt8]? {
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
    if count < 0 {
      if errno == EINTR { continue }
      return nil
    }
    if count == 0 { return bytes }
    bytes.append(contentsOf: chunk[..<count])
  }
}

struct SystemError: Error {
  /// `open x: no such file or directory`
  var text: String
}

func readFile(_ path: String) throws(SystemError) -> [UInt8] {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw SystemError(text: "open \(path): \(systemMessage(errno))") }
  defer { close(descriptor) }
  guard let bytes = readAll(descriptor: descriptor) else {
    throw SystemError(text: "read \(path): \(systemMessage(errno))")
  }
  return bytes
}

func fileExists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

/// Writes a new file beside the destination and renames it, so that the destination is never half written.
func writeFile(_ path: String, _ bytes: [UInt8]) throws(SystemError) {
  let temporary = path + ".tmp"
  let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
  guard descriptor >= 0 else { throw SystemError(text: "open \(temporary): \(systemMessage(errno))") }
  let isWritten = writeAll(bytes, descriptor: descriptor) && fsync(descriptor) == 0
  let code = errno
  close(descriptor)
  guard isWritten else { throw SystemError(text: "write \(temporary): \(systemMessage(code))") }
  guard unsafe rename(temporary, path) == 0 else {
    throw SystemError(text: "rename \(temporary) \(path): \(systemMessage(errno))")
  }
}

/// Random bytes of the kernel, for keys.
func randomBytes(_ count: Int) -> [UInt8] {
  var generator = SystemRandomNumberGenerator()
  return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}

/// A tenth of a second, between two looks at something that changes.
func sleepBriefly() { usleep(100_000) }

/// Seconds since 1970.
func unixNow() -> Int { time(nil) }

/// RFC 3339 in the local zone, whole seconds.
func localTime(_ unixSeconds: Int) -> String {
  var seconds = time_t(unixSeconds)
  var parts = unsafe tm()
  guard unsafe localtime_r(&seconds, &parts) != nil else { return "<none>" }
  let fields = unsafe [parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec]
  let year = unsafe String(Int(parts.tm_year) + 1900)
  let offset = unsafe parts.tm_gmtoff
  func two(_ value: some BinaryInteger) -> String { value < 10 ? "0\(value)" : "\(value)" }
  let yearText = String(repeating: "0", count: max(0, 4 - year.count)) + year
  var text = "\(yearText)-\(two(fields[0]))-\(two(fields[1]))T\(two(fields[2])):\(two(fields[3])):\(two(fields[4]))"
  if offset == 0 { return text + "Z" }
  let size = abs(offset) / 60
  text += (offset < 0 ? "-" : "+") + two(size / 60) + ":" + two(size % 60)
  return text
}

/// Seconds since 1970 of an RFC 3339 time in UTC, as the API writes it; `nil` for anything else.
func unixSeconds(_ text: String) -> Int? {
  let bytes = Array(text.utf8)
  guard bytes.count >= 20, bytes.last == 0x5A else { return nil }
  func number(_ range: Range<Int>) -> Int? { Int(String(decoding: bytes[range], as: UTF8.self)) }
  guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
    let minute = number(14..<16), let second = number(17..<19), year > 0, (1...12).contains(month)
  else { return nil }
  // Days from civil, in years that begin in March.
  let shifted = month > 2 ? year : year - 1
  let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
  let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
  return days * 86_400 + hour * 3600 + minute * 60 + second
}

/// An endless stream is ended by the user, which is no failure.
func exitQuietlyOnInterrupt() {
  for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(0) } }
}

/// Replaces this program by another one beside it; returns only when there is none.
func replaceProcess(byNeighbour name: String, arguments: [String]) {
  var buffer = [CChar](repeating: 0, count: 4096)
  let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
  guard count > 0 else { return }
  let own = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  guard let slash = own.lastIndex(of: "/") else { return }
  let path = own[...slash] + name
  var words = unsafe ([name] + arguments).map { unsafe strdup($0) }
  unsafe words.append(nil)
  _ = unsafe execv(String(path), words)
  unsafe words.forEach { unsafe free($0) }
}
