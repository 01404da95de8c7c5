import Base

/// Turns `bind_addr`, `addresses`, `advertise` and `ports` into endpoints (config.md 8, cluster.md 1.1).
///
/// One rule differs from Nomad on purpose: Nomad refuses to start on a loopback `bind_addr` until every `advertise`
/// address is set. Here an operator who names a loopback address gets it, with a warning; only an address that would
/// fall back to loopback by itself is refused.
struct AddressResolution {
  var host: HostFacts
  var developmentMode: Bool
  var isServer: Bool

  private static let services = ["http", "rpc", "serf"]

  func resolve(_ settings: inout Settings) throws(ConfigurationError) -> (BindAddresses, AdvertisedAddresses) {
    let ports = [
      UInt16(clamping: settings.integer("ports.http") ?? Int(AgentConfiguration.defaultHTTPPort)),
      UInt16(clamping: settings.integer("ports.rpc") ?? Int(AgentConfiguration.defaultRPCPort)),
      UInt16(clamping: settings.integer("ports.serf") ?? Int(AgentConfiguration.defaultSerfPort)),
    ]
    let common = try hosts("bind_addr", in: settings, default: "0.0.0.0", single: true)
    var binds: [[HostText]] = []
    for service in Self.services {
      let path = "addresses.\(service)"
      binds.append(
        settings.text(path) == nil ? common : try hosts(path, in: settings, default: "", single: service != "http"))
    }
    try checkPorts(ports, binds, settings)

    var advertised: [Endpoint] = []
    for (index, service) in Self.services.enumerated() {
      if let endpoint = try explicit(service, port: ports[index], &settings) {
        advertised.append(endpoint)
      } else if service == "serf", !isServer {
        // A client takes no part in gossip; the value is only shown.
        advertised.append(Endpoint(advertised[1].host, port: ports[index]))
      } else {
        advertised.append(Endpoint(try implied(service, bind: binds[index][0], &settings), port: ports[index]))
      }
    }
    return (
      BindAddresses(
        http: binds[0].map { Endpoint($0, port: ports[0]) }, rpc: Endpoint(binds[1][0], port: ports[1]),
        serf: Endpoint(binds[2][0], port: ports[2])),
      AdvertisedAddresses(http: advertised[0], rpc: advertised[1], serf: advertised[2])
    )
  }

  /// Hosts to listen on: at least one.
  private func hosts(
    _ path: String, in settings: Settings, default value: String, single: Bool
  ) throws(ConfigurationError) -> [HostText] {
    let source = settings.text(path) ?? value
    let evaluated = try evaluate(source, path, settings)
    let words = evaluated.split(whereSeparator: \.isWhitespace)
    guard !words.isEmpty else {
      throw settings.refused(
        "\(path) = \(source.quoted) finds no address on this machine; write an address instead", path)
    }
    guard words.count == 1 || !single else {
      throw settings.refused(
        "\(path): Multiple addresses found (\(evaluated.quoted)), please configure one.", path)
    }
    var hosts: [HostText] = []
    for word in words {
      do {
        hosts.append(try HostText(String(word)))
      } catch {
        throw settings.refused("\(path): \(error)", path)
      }
    }
    return hosts
  }

  private func evaluate(_ text: String, _ path: String, _ settings: Settings) throws(ConfigurationError) -> String {
    guard text.contains("{{") else { return text.trimmed }
    do {
      return try AddressTemplate(text).evaluate(host.interfaces)
    } catch {
      throw settings.refused("\(path): \(error)", path)
    }
  }

  /// Two services cannot listen on one port of one address. A client-only agent listens for HTTP alone.
  private func checkPorts(_ ports: [UInt16], _ binds: [[HostText]], _ settings: Settings) throws(ConfigurationError) {
    guard isServer else { return }
    for later in 1..<ports.count {
      for earlier in 0..<later where ports[earlier] == ports[later] && Self.overlap(binds[earlier], binds[later]) {
        let (a, b) = ("ports.\(Self.services[earlier])", "ports.\(Self.services[later])")
        throw ConfigurationError(
          "\(a) and \(b) are both \(ports[later]); give each service its own port",
          at: settings.place(b) ?? settings.place(a))
      }
    }
  }

  private static func overlap(_ some: [HostText], _ others: [HostText]) -> Bool {
    func isWildcard(_ host: HostText) -> Bool {
      if case .address(let address) = host { address.isUnspecified } else { false }
    }
    return (some + others).contains(where: isWildcard) || some.contains { others.contains($0) }
  }

  /// What `advertise` says; `nil` when it says nothing.
  private func explicit(
    _ service: String, port: UInt16, _ settings: inout Settings
  ) throws(ConfigurationError) -> Endpoint? {
    let path = "advertise.\(service)"
    guard let source = settings.text(path) else { return nil }
    let text = try evaluate(source, path, settings)
    guard !text.isEmpty else {
      settings.warn("\(path) = \(source.quoted) finds no address on this machine and is treated as not set")
      return nil
    }
    guard !text.contains(where: \.isWhitespace) else {
      throw settings.refused("\(path): Multiple addresses found (\(text.quoted)), please configure one.", path)
    }
    let endpoint: Endpoint
    do {
      endpoint = try Endpoint(text, defaultPort: port)
    } catch {
      throw settings.refused("\(path): \(error)", path)
    }
    if case .address(let address) = endpoint.host, address.isUnspecified, service != "http" {
      throw settings.refused(
        "\(path) is \(address), which nobody can reach; write the address that other agents use for this machine", path)
    }
    return endpoint
  }

  private func implied(
    _ service: String, bind: HostText, _ settings: inout Settings
  ) throws(ConfigurationError) -> HostText {
    guard case .address(let address) = bind else { return bind }
    if address.isUnspecified {
      if let address = privateAddress { return .address(address) }
      if developmentMode { return .address(.loopback) }
      throw ConfigurationError(
        "no address to advertise for \(service): the agent binds \(address), and this machine has no private address. "
          + "Defaulting advertise to localhost is unsafe, please set advertise manually, such as --advertise "
          + "192.0.2.10, "
          + "or give one address to --bind",
        at: settings.place("addresses.\(service)") ?? settings.place("bind_addr"))
    }
    if address.isLoopback, !developmentMode {
      settings.warn("the agent advertises \(address), so that only agents on this machine can reach it")
    }
    return bind
  }

  /// What `{{ GetPrivateIP }}` gives.
  private var privateAddress: IPAddress? {
    guard let text = try? AddressTemplate("{{ GetPrivateIP }}").evaluate(host.interfaces) else { return nil }
    return IPAddress(text)
  }
}
