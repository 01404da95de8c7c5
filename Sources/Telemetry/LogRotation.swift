import Base
import Glibc

/// When a log file is moved away, under which name, and how many of those are kept.
public struct LogRotation: Sendable {
  /// 0: no limit.
  public var bytesMax: Int
  /// Not positive: no limit.
  public var interval: Interval
  /// Files moved away that are kept; 0 keeps all, below 0 none.
  public var filesKept: Int

  private var bytes = 0
  /// Civil time of the first line in this file, as far as this process knows.
  private var began: WallTime?

  public init(bytesMax: Int = 0, interval: Interval = .zero, filesKept: Int = 0) {
    self.bytesMax = bytesMax
    self.interval = interval
    self.filesKept = filesKept
  }

  mutating func opened(holding bytes: Int) {
    self.bytes = bytes
    began = nil
  }

  mutating func wrote(_ count: Int) { bytes += count }

  /// Asked before each line; `waiting` bytes are not yet written. A clock that goes back begins anew, so that a jump
  /// costs one rotation at most.
  mutating func isDue(adding waiting: Int, at wall: WallTime) -> Bool {
    guard bytes + waiting > 0 else {
      began = wall
      return false
    }
    if bytesMax > 0, bytes + waiting >= bytesMax { return true }
    guard interval > .zero, let began, began.unixNanoseconds <= wall.unixNanoseconds else {
      began = wall
      return false
    }
    return wall.unixNanoseconds - began.unixNanoseconds >= interval.nanoseconds
  }

  /// `nomad.log` becomes `nomad-1700000000000000000.log` beside it.
  func moveAway(_ path: String, at wall: WallTime) throws(LogFileError) {
    let (stem, ending) = Self.parts(of: path)
    let away = "\(stem)-\(wall.unixNanoseconds)\(ending)"
    guard unsafe rename(path, away) == 0 else { throw LogFileError(path: path, code: errno, action: "rotate") }
    removeOld(stem, ending)
  }

  private func removeOld(_ stem: String, _ ending: String) {
    guard filesKept != 0 else { return }
    let slash = stem.lastIndex(of: "/")
    let directory = slash.map { String(stem[...$0]) } ?? "./"
    let prefix = "\(slash.map { String(stem[stem.index(after: $0)...]) } ?? stem)-"
    var found: [(time: Int64, name: String)] = []
    for name in Self.names(in: directory) where name.hasPrefix(prefix) && name.hasSuffix(ending) {
      let middle = name.dropFirst(prefix.count).dropLast(ending.count)
      if middle.count >= 16, middle.allSatisfy(\.isNumber), let time = Int64(middle) { found.append((time, name)) }
    }
    found.sort { $0.time > $1.time }
    // What cannot be removed now is tried again with the next rotation.
    for old in found.dropFirst(max(0, filesKept)) { _ = unsafe unlink("\(directory)\(old.name)") }
  }

  /// Before and from the last dot of the name.
  private static func parts(of path: String) -> (String, String) {
    let name = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    guard let dot = path[name...].lastIndex(of: "."), dot > name else { return (path, "") }
    return (String(path[..<dot]), String(path[dot...]))
  }

  private static func names(in directory: String) -> [String] {
    guard let listing = unsafe opendir(directory) else { return [] }
    defer { unsafe closedir(listing) }
    var names: [String] = []
    while let entry = unsafe readdir(listing) {
      names.append(
        unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
          unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        })
    }
    return names
  }
}
