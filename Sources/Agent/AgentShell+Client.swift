import API
import Base
import Client
import Configuration
import Durable
import Reactor
import Security

/// What the client machine wants done outside.
extension AgentShell {
  func drainClient() {
    guard let events = client?.takeEvents() else { return }
    for event in events { carryOut(event) }
  }

  private func carryOut(_ event: ClientEvent) {
    switch event {
    case .registered:
      if server == nil { becomeReady("client registered, \(client?.status.servers.count ?? 0) servers known") }
    case .serversChanged(let servers):
      saveClientState()
      guard server == nil, isReady else { return }
      notify { notifier throws(ServiceNotifier.Failure) in
        try notifier.status("client registered, \(servers.count) servers known")
      }
    case .resolve(let names): for name in names { resolve(name) }
    case .identityWanted: takeNewIdentity()
    case .identityChanged: saveClientState()
    case .connectedTo: break
    case .statisticsRequested(let request):
      let reply = hostStatistics
      client?.answer(request, at: loop.now, effects: &effects) { $0.append(contentsOf: reply) }
    case .answered(let id, let answer):
      guard let call = forwards.removeValue(forKey: id) else { return }
      switch answer {
      case .reply(let bytes): finish(call, .success(bytes))
      case .error(let text): finish(call, .failure(.init(text)))
      }
    case .streamBytes(let id, let bytes): received(.client(id), bytes)
    case .streamEnded(let id, let text): ended(.client(id), text)
    case .monitorStarted(let handle, let level, let json, let plain):
      follow(.client(handle), level: level, json: json, plain: plain)
    case .monitorEnded(let handle): unfollow(.client(handle))
    }
  }

  private func takeNewIdentity() {
    guard let node = SecureRandom.uuid(), let secret = SecureRandom.uuid() else {
      return effects.log.log(.error, "client", "the system gives no random bytes for a new identity")
    }
    client?.adopt(nodeID: node, secretID: secret, at: loop.now, effects: &effects)
    drainClient()
  }

  private func discover(_ entry: JoinEntry) {
    JoinResolution(loop: loop, entries: [entry]).run { [unowned self] addresses, failures in
      for failure in failures {
        effects.log.log(.warn, "client", "failed to resolve a join entry", ["error": failure])
      }
      client?.handleResolved(entry.text, addresses, at: loop.now, effects: &effects)
    }
  }

  /// The reply of `ClientStats.Stats`.
  var hostStatistics: [UInt8] {
    var reply: [UInt8] = []
    host.pack(directory: configuration.client?.stateDirectory, at: loop.moment, into: &reply)
    return reply
  }

  private func saveClientState() {
    guard let state = client?.persisted, let storage = clientStorage else { return }
    do throws(DurableError) { try storage.save(state) } catch {
      effects.log.log(.warn, "client", "cannot keep the server list", ["error": "\(error)"])
    }
  }

  private func resolve(_ name: String) {
    let entry = configuration.client?.join.retry.first { $0.text == name }
    if let entry, entry.isDiscovered { return discover(entry) }
    let endpoint: Endpoint
    do throws(EndpointError) {
      endpoint = try Endpoint(name, defaultPort: AgentConfiguration.defaultRPCPort)
    } catch {
      return client?.handleResolved(name, [], at: loop.now, effects: &effects) ?? ()
    }
    guard case .name(let host, let port) = endpoint else {
      if case .address(let address) = endpoint {
        client?.handleResolved(name, [address], at: loop.now, effects: &effects)
      }
      return
    }
    loop.resolve(host) { [unowned self] result in
      var addresses: [SocketAddress] = []
      switch result {
      case .success(let hosts): addresses = hosts.map { SocketAddress($0, port: port) }
      case .failure(let error):
        effects.log.log(.warn, "client", "cannot resolve a server name", ["name": name, "error": "\(error)"])
      }
      client?.handleResolved(name, addresses, at: loop.now, effects: &effects)
    }
  }
}
