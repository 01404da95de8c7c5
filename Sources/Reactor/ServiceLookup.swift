import Base
import CSystem
import Glibc

/// SRV records through the C library's resolver. Blocks: for the thread pool.
public enum ServiceLookup {
  public struct Target: Hashable, Sendable {
    public var host: String
    public var port: UInt16
  }

  public struct Failure: Error, Hashable, Sendable {
    public var text: String
  }

  static let maximumAnswerBytes = 16_384
  static let maximumTargets = 64

  /// Targets in the order of the answer. `query` is the full name: `_nomad._tcp.example.com`.
  public static func addresses(of query: String) -> Result<[Target], Failure> {
    var names = [CChar](repeating: 0, count: Int(CSYSTEM_SRV_NAME_BYTES) * maximumTargets)
    var ports = [UInt16](repeating: 0, count: maximumTargets)
    let count = unsafe names.withUnsafeMutableBufferPointer { names in
      unsafe ports.withUnsafeMutableBufferPointer { ports in
        unsafe csystem_lookup_srv(query, names.baseAddress, ports.baseAddress, Int32(maximumTargets))
      }
    }
    guard count >= 0 else { return .failure(Failure(text: "the name server gave no answer")) }
    var targets: [Target] = []
    for index in 0..<Int(count) {
      let start = index * Int(CSYSTEM_SRV_NAME_BYTES)
      let name = names[start..<(start + Int(CSYSTEM_SRV_NAME_BYTES))].prefix { $0 != 0 }
      targets.append(
        Target(host: String(decoding: name.map { UInt8(bitPattern: $0) }, as: UTF8.self), port: ports[index]))
    }
    return .success(targets)
  }
}

/// What a program prints. Blocks: for the thread pool.
public enum ProgramOutput {
  public struct Failure: Error, Hashable, Sendable {
    public var text: String
  }

  static let maximumBytes = 65_536
  static let timeoutMilliseconds: Int32 = 10_000

  /// Standard output of `arguments`, which is started without a shell. A status other than 0, no output in 10 s, or a
  /// program that cannot be started is a failure.
  public static func read(_ arguments: [String]) -> Result<String, Failure> {
    guard !arguments.isEmpty else { return .failure(Failure(text: "no program is named")) }
    var output = [CChar](repeating: 0, count: maximumBytes)
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { for pointer in unsafe pointers { unsafe free(pointer) } }
    let size = unsafe pointers.withUnsafeMutableBufferPointer { arguments in
      unsafe output.withUnsafeMutableBufferPointer { output in
        unsafe csystem_program_output(arguments.baseAddress, output.baseAddress, output.count, timeoutMilliseconds)
      }
    }
    guard size >= 0 else { return .failure(Failure(text: "the program failed or did not end in time")) }
    return .success(String(decoding: output.prefix(Int(size)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }
}
