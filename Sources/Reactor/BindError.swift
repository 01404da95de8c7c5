import Base
import CLibUV

/// A listening socket could not be made. Its description is one sentence for the operator.
public struct BindError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Transport: String, Hashable, Sendable {
    case tcp, udp
  }

  public enum Reason: Hashable, Sendable {
    /// Another socket has this port.
    case inUse
    /// No interface of this machine has this address.
    case notLocal
    /// The port needs a privilege (below 1024), or a policy forbids it.
    case forbidden
    /// No file descriptor is left.
    case outOfDescriptors
    /// IPv6 is off.
    case unsupportedFamily
    /// Anything else, in the system's words.
    case other(String)
  }

  public let tag: ListenerTag
  public let address: SocketAddress
  public let transport: Transport
  public let reason: Reason

  init(_ tag: ListenerTag, _ address: SocketAddress, _ transport: Transport, code: Int32) {
    self.tag = tag
    self.address = address
    self.transport = transport
    switch code {
    case UV_EADDRINUSE.rawValue: reason = .inUse
    case UV_EADDRNOTAVAIL.rawValue: reason = .notLocal
    case UV_EACCES.rawValue, UV_EPERM.rawValue: reason = .forbidden
    case UV_EMFILE.rawValue, UV_ENFILE.rawValue: reason = .outOfDescriptors
    case UV_EAFNOSUPPORT.rawValue: reason = .unsupportedFamily
    default: reason = .other(systemErrorText(code))
    }
  }

  public var description: String {
    "cannot listen on \(address) (\(transport.rawValue), \(tag.rawValue)): \(explanation)"
  }

  /// The names are those of the configuration file, which are Nomad's.
  private var explanation: String {
    let port = tag == .gossip ? "ports.serf" : "ports.\(tag.rawValue)"
    let bind = tag == .gossip ? "addresses.serf" : "addresses.\(tag.rawValue)"
    return switch reason {
    case .inUse:
      "address already in use; another process has this port: stop it, or choose another port with \(port)"
    case .notLocal:
      "no interface of this machine has this address; choose one that it has with bind_addr or \(bind)"
    case .forbidden:
      "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE: choose another port with \(port)"
    case .outOfDescriptors:
      "no file descriptor left; raise LimitNOFILE (ulimit -n)"
    case .unsupportedFamily:
      "this machine has no IPv6; choose an IPv4 address with bind_addr or \(bind)"
    case .other(let text):
      text
    }
  }
}
