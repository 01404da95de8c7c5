import FoundationEssentials
import Harness

/// Where the programs under test are: `NOMADD_BIN_DIR`, or the directory of the test program: the build puts all there.
enum Programs {
  static func path(_ name: String) throws -> String {
    let path = "\(try directory())/\(name)"
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw HarnessError.system("run \(path)", "build it first, or name its directory in NOMADD_BIN_DIR")
    }
    return path
  }

  /// A file of the source tree, by its path from the root.
  static func source(_ path: String, from here: String = #filePath) throws -> String {
    let root = here.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
    return try FileText.read("\(root)/\(path)")
  }

  private static func directory() throws -> String {
    if let named = ProcessInfo.processInfo.environment["NOMADD_BIN_DIR"] { return named }
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return own.split(separator: "/").dropLast().map { "/\($0)" }.joined()
  }
}
