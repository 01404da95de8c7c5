import Base
import Glibc
import Reactor
import Wire

/// What this machine is doing, in the fields of Nomad's `HostStats` (http.md 7.8): read from `/proc` when asked, so
/// that a client nobody asks pays nothing.
struct HostStatistics {
  /// CPU shares are at least this long apart; a question that comes sooner gets the last ones.
  private static let spacing = Interval.seconds(1)

  private struct Ticks {
    var user: UInt64 = 0
    var system: UInt64 = 0
    var idle: UInt64 = 0
    var total: UInt64 { user &+ system &+ idle }
  }

  private struct Share {
    var name: String
    var user = 0.0
    var system = 0.0
    var idle = 100.0
  }

  private struct Disk {
    var device: String
    var mountPoint: String
    var size: UInt64
    var used: UInt64
    var available: UInt64
    var inodesUsedPercent: Double
    var usedPercent: Double { used + available == 0 ? 0 : Double(used) * 100 / Double(used + available) }
  }

  private var ticks: [String: Ticks] = [:]
  private var shares: [Share] = []
  private var takenAt: Instant?

  /// Appends the reply of `ClientStats.Stats`. `directory` is where the agent's data lies; nil: nowhere.
  mutating func pack(directory: String?, at now: Moment, into out: inout [UInt8]) {
    if takenAt.map({ now.instant - $0 >= Self.spacing }) ?? true {
      takenAt = now.instant
      shares = takeShares()
    }
    let disks = Self.disks()
    let own = directory.flatMap { Self.disk(device: "", mountPoint: $0) }
    let meta = QueryMeta(index: 0, knownLeader: false)
    out.packMapHeader(1 + meta.fieldCount)
    out.pack("HostStats" as StaticString)
    out.packMapHeader(8)
    out.pack("AllocDirStats" as StaticString)
    if let own { Self.pack(own, into: &out) } else { out.packNil() }
    out.pack("CPU" as StaticString)
    out.packArrayHeader(shares.count)
    for share in shares { Self.pack(share, into: &out) }
    out.pack("CPUTicksConsumed" as StaticString)
    // A core counts as 1000 MHz, as in the registration.
    out.pack(shares.reduce(0) { $0 + ($1.user + $1.system) * 10 })
    out.pack("DeviceStats" as StaticString)
    out.packNil()
    out.pack("DiskStats" as StaticString)
    out.packArrayHeader(disks.count)
    for disk in disks { Self.pack(disk, into: &out) }
    out.pack("Memory" as StaticString)
    Self.packMemory(into: &out)
    out.pack("Timestamp" as StaticString)
    out.pack(signed: now.wall.unixNanoseconds)
    out.pack("Uptime" as StaticString)
    let uptime = Self.read("/proc/uptime").split(separator: " ").first?.prefix { $0 != "." }
    out.pack(unsigned: uptime.flatMap { UInt64($0) } ?? 0)
    meta.encodeFields(into: &out)
  }

  // MARK: Processors

  /// The share of each processor since the last time, or since the machine started.
  private mutating func takeShares() -> [Share] {
    var result: [Share] = []
    for line in Self.read("/proc/stat").split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard let name = fields.first, name.hasPrefix("cpu"), name.count > 3, fields.count > 4 else { continue }
      let numbers = fields.dropFirst().map { UInt64($0) ?? 0 }
      func sum(_ columns: [Int]) -> UInt64 { columns.reduce(0) { $0 &+ ($1 < numbers.count ? numbers[$1] : 0) } }
      // user nice system idle iowait irq softirq steal
      let present = Ticks(user: sum([0, 1]), system: sum([2, 5, 6, 7]), idle: sum([3, 4]))
      let before = ticks.updateValue(present, forKey: String(name)) ?? Ticks()
      var share = Share(name: String(name))
      let all = present.total > before.total ? Double(present.total - before.total) : 0
      if all > 0 {
        share.user = present.user > before.user ? Double(present.user - before.user) * 100 / all : 0
        share.system = present.system > before.system ? Double(present.system - before.system) * 100 / all : 0
        share.idle = max(0, 100 - share.user - share.system)
      }
      result.append(share)
    }
    return result
  }

  private static func pack(_ share: Share, into out: inout [UInt8]) {
    out.packMapHeader(5)
    out.pack("CPU" as StaticString)
    out.pack(share.name)
    for (key, value) in [
      ("Idle", share.idle), ("System", share.system), ("Total", share.user + share.system), ("User", share.user),
    ] {
      out.pack(key)
      out.pack(value)
    }
  }

  // MARK: Memory and disks

  private static func packMemory(into out: inout [UInt8]) {
    var bytes: [Substring: UInt64] = [:]
    for line in read("/proc/meminfo").split(separator: "\n") {
      let fields = line.split(whereSeparator: { $0 == " " || $0 == ":" })
      if fields.count > 1, let kibibytes = UInt64(fields[1]) { bytes[fields[0]] = kibibytes &* 1024 }
    }
    let total = bytes["MemTotal"] ?? HostSystem.memoryBytes
    let free = bytes["MemFree"] ?? 0
    let cached = (bytes["Buffers"] ?? 0) &+ (bytes["Cached"] ?? 0)
    out.packMapHeader(4)
    for (key, value) in [
      ("Available", bytes["MemAvailable"] ?? free), ("Free", free), ("Total", total),
      ("Used", total > free &+ cached ? total - free - cached : 0),
    ] {
      out.pack(key)
      out.pack(unsigned: value)
    }
  }

  /// File systems of this many devices at most.
  private static let maximumDisks = 64

  /// Mounted block devices, each once.
  private static func disks() -> [Disk] {
    var seen: Set<Substring> = []
    var result: [Disk] = []
    for line in read("/proc/self/mounts").split(separator: "\n") where result.count < maximumDisks {
      let fields = line.split(separator: " ")
      guard fields.count > 1, fields[0].hasPrefix("/dev/"), seen.insert(fields[0]).inserted else { continue }
      if let disk = disk(device: String(fields[0]), mountPoint: String(fields[1])) { result.append(disk) }
    }
    return result
  }

  private static func disk(device: String, mountPoint: String) -> Disk? {
    var facts = statvfs()
    guard unsafe statvfs(mountPoint, &facts) == 0, facts.f_blocks > 0 else { return nil }
    let unit = UInt64(facts.f_frsize)
    let inodes = facts.f_files > 0 ? Double(facts.f_files - facts.f_ffree) * 100 / Double(facts.f_files) : 0
    return Disk(
      device: device, mountPoint: mountPoint, size: UInt64(facts.f_blocks) &* unit,
      used: UInt64(facts.f_blocks - facts.f_bfree) &* unit, available: UInt64(facts.f_bavail) &* unit,
      inodesUsedPercent: inodes)
  }

  private static func pack(_ disk: Disk, into out: inout [UInt8]) {
    out.packMapHeader(7)
    out.pack("Available" as StaticString)
    out.pack(unsigned: disk.available)
    out.pack("Device" as StaticString)
    out.pack(disk.device)
    out.pack("InodesUsedPercent" as StaticString)
    out.pack(disk.inodesUsedPercent)
    out.pack("Mountpoint" as StaticString)
    out.pack(disk.mountPoint)
    out.pack("Size" as StaticString)
    out.pack(unsigned: disk.size)
    out.pack("Used" as StaticString)
    out.pack(unsigned: disk.used)
    out.pack("UsedPercent" as StaticString)
    out.pack(disk.usedPercent)
  }

  /// A file of the kernel, whole; empty when there is none.
  private static func read(_ path: String) -> String {
    guard let file = unsafe fopen(path, "re") else { return "" }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while bytes.count < 1 << 20 {
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe fread($0.baseAddress, 1, $0.count, file) }
      if count == 0 { break }
      bytes += chunk[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
