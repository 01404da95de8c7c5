import Base
import CLibUV
import CSystem

/// Why a name has no address.
public enum ResolveError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The name does not exist or has no address.
  case notFound
  /// The name servers could not be asked, or failed; trying again may help.
  case temporary
  /// Not a name that can be asked for.
  case invalidName
  /// A local reason: memory, descriptors, the loop ends.
  case local

  public var description: String {
    switch self {
    case .notFound: "the name does not exist or has no address"
    case .temporary: "the name servers do not answer"
    case .invalidName: "this is no host name"
    case .local: "this machine is out of memory or descriptors"
    }
  }
}

/// A name look-up on the thread pool.
@safe private final class NameLookup: PoolRequest {
  let request: UnsafeMutablePointer<uv_getaddrinfo_t>
  let completion: (Result<[IPAddress], ResolveError>) -> Void

  init(on loop: Loop, _ completion: @escaping (Result<[IPAddress], ResolveError>) -> Void) {
    unsafe request = allocateHandle(uv_getaddrinfo_t.self)
    self.completion = completion
    super.init(on: loop)
  }

  deinit { unsafe request.deallocate() }

  override func cancel() {
    unsafe uv_cancel(UnsafeMutableRawPointer(request).assumingMemoryBound(to: uv_req_t.self))
  }

  func complete(_ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
    guard end(), status != UV_EAI_CANCELED.rawValue, status != UV_ECANCELED.rawValue else { return }
    guard status == 0 else { return completion(.failure(ResolveError(code: status))) }
    let addresses = unsafe Self.addresses(list)
    completion(addresses.isEmpty ? .failure(.notFound) : .success(addresses))
  }

  private static func addresses(_ list: UnsafeMutablePointer<addrinfo>?) -> [IPAddress] {
    var result: [IPAddress] = []
    var entry = unsafe list
    while let current = unsafe entry, result.count < Loop.maximumResolvedAddresses {
      if let address = unsafe SocketAddress(current.pointee.ai_addr), !result.contains(address.host) {
        result.append(address.host)
      }
      unsafe entry = current.pointee.ai_next
    }
    return result
  }
}

extension Loop {
  /// More addresses of one name are ignored.
  public static let maximumResolvedAddresses = 64

  /// Looks up all IPv4 and IPv6 addresses of a name, in the order of the system's preference, without repetitions. A
  /// numeric address resolves to itself. `completion` runs on the loop, later.
  ///
  /// libuv lets look-ups use half of the pool's threads at most, so a dead name server cannot hold up disk writes.
  public func resolve(_ name: String, completion: @escaping (Result<[IPAddress], ResolveError>) -> Void) {
    let lookup = NameLookup(on: self, completion)
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = AF_UNSPEC
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    unsafe lookup.request.pointee.data = Unmanaged.passRetained(lookup).toOpaque()
    let code = unsafe uv_getaddrinfo(
      raw, lookup.request,
      { request, status, list in
        let lookup = unsafe Unmanaged<NameLookup>.fromOpaque(request!.pointee.data).takeRetainedValue()
        unsafe lookup.complete(status, list)
        if let list = unsafe list { unsafe uv_freeaddrinfo(list) }
      }, name, nil, &hints)
    guard code == 0 else {
      unsafe Unmanaged<NameLookup>.fromOpaque(lookup.request.pointee.data).release()
      return postpone { completion(.failure(ResolveError(code: code))) }
    }
    lookup.begin()
  }
}

extension ResolveError {
  init(code: Int32) {
    switch code {
    case UV_EAI_NONAME.rawValue, UV_EAI_NODATA.rawValue, UV_EAI_ADDRFAMILY.rawValue, UV_ENOENT.rawValue:
      self = .notFound
    case UV_EAI_AGAIN.rawValue, UV_EAI_FAIL.rawValue: self = .temporary
    case UV_EINVAL.rawValue, UV_ENAMETOOLONG.rawValue, UV_E2BIG.rawValue: self = .invalidName
    default: self = .local
    }
  }
}
