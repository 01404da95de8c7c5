import Base

extension NetworkShell {
  /// How often another port is tried when `listen` was asked for any port and one transport's choice is taken for the
  /// other.
  static let anyPortAttempts = 32

  /// Opens the listening sockets of one service on every address: streams, and datagrams too for gossip, on one port.
  ///
  /// Port 0 chooses a free port, the same for all addresses. `::` takes IPv4 peers too, unless `0.0.0.0` is in the
  /// list. Returns the addresses in use, in the same order. When one socket fails, those of this call are closed again
  /// and nothing has changed. Peers can connect from here on; they are served once the loop runs.
  @discardableResult
  public func listen(_ tag: ListenerTag, at addresses: [SocketAddress]) throws(BindError) -> [SocketAddress] {
    var attempt = 1
    while true {
      do throws(BindError) {
        return try listenOnce(tag, at: addresses)
      } catch {
        let wantsAnyPort = addresses.contains { $0.port == 0 }
        guard wantsAnyPort, error.reason == .inUse, attempt < Self.anyPortAttempts else { throw error }
        attempt += 1
      }
    }
  }

  private func listenOnce(_ tag: ListenerTag, at addresses: [SocketAddress]) throws(BindError) -> [SocketAddress] {
    var newListeners: [StreamListener] = []
    var newEndpoints: [DatagramEndpoint] = []
    var chosenPort: UInt16 = 0
    do throws(BindError) {
      for wanted in addresses {
        let isDual = wanted.host == .any6 && !addresses.contains { $0.host == .any4 }
        let address = SocketAddress(wanted.host, port: wanted.port == 0 ? chosenPort : wanted.port)
        let listener = try StreamListener(at: address, isDual: isDual, tag: tag, shell: self)
        newListeners.append(listener)
        if wanted.port == 0 { chosenPort = listener.address.port }
        guard tag == .gossip else { continue }
        newEndpoints.append(try DatagramEndpoint(at: listener.address, isDual: isDual, tag: tag, shell: self))
      }
    } catch {
      for listener in newListeners { listener.close() }
      for endpoint in newEndpoints { endpoint.close() }
      throw error
    }
    listeners += newListeners
    datagramEndpoints += newEndpoints
    return newListeners.map(\.address)
  }
}
