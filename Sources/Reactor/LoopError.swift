import Base
import CLibUV

/// An operation on the loop itself failed: a negated errno from libuv, with libuv's own words for it.
public struct LoopError: Error, Hashable, Sendable, CustomStringConvertible {
  public let code: Int32
  public let operation: String

  init(_ code: Int32, _ operation: String) {
    self.code = code
    self.operation = operation
  }

  public var description: String { "\(operation): \(systemErrorText(code))" }
}

/// libuv's sentence for a negated errno, in lower case.
func systemErrorText(_ code: Int32) -> String {
  unsafe String(cString: uv_strerror(code)).lowercased()
}

extension StreamEnd {
  /// Translates a negated errno of a stream.
  init(code: Int32) {
    switch code {
    case UV_EOF.rawValue: self = .finished
    case UV_ECONNREFUSED.rawValue: self = .refused
    case UV_ETIMEDOUT.rawValue: self = .timedOut
    case UV_ENETUNREACH.rawValue, UV_EHOSTUNREACH.rawValue, UV_ENETDOWN.rawValue, UV_EHOSTDOWN.rawValue,
      UV_EADDRNOTAVAIL.rawValue, UV_EINVAL.rawValue, UV_EACCES.rawValue, UV_EPERM.rawValue, UV_EAFNOSUPPORT.rawValue:
      self = .unreachable
    case UV_ECONNRESET.rawValue, UV_EPIPE.rawValue, UV_ECONNABORTED.rawValue, UV_ENOTCONN.rawValue: self = .reset
    default: self = .local
    }
  }
}
