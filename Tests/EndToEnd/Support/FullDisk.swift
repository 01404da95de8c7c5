import Foundation
import Harness

/// A server on a file system of a few kilobytes, which only it sees and which ends with it.
enum FullDisk {
  struct Outcome: CustomStringConvertible {
    let status: Int32
    let text: String
    var description: String { "status \(status): \(text)" }
  }

  static let canMount: Bool = {
    do { return try shell("mount -t tmpfs -o size=8k tmpfs /mnt").status == 0 } catch { return false }
  }()

  /// Runs a server that forms a cluster of its own, for at most five seconds.
  static func run(directory: String, kilobytes: Int) throws -> Outcome {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let address = try Loopback.address()
    let command = """
      mount -t tmpfs -o size=\(kilobytes)k tmpfs "$1" && exec timeout 5 "$0" --server --bootstrap-expect 1 \
      --name s1 --bind \(address) --data-dir "$1/data"
      """
    return try shell(command, [try Programs.path("nomadd"), directory])
  }

  /// In a mount namespace of its own.
  private static func shell(_ command: String, _ arguments: [String] = []) throws -> Outcome {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/unshare")
    process.arguments = ["--mount", "/bin/sh", "-c", command] + arguments
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return Outcome(status: process.terminationStatus, text: String(decoding: bytes, as: UTF8.self))
  }
}
