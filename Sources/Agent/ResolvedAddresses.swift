import Base
import Configuration
import Reactor

/// The addresses of an agent with every name looked up. Names are looked up once, at start.
struct ResolvedAddresses {
  var bindHTTP: [SocketAddress]
  var bindRPC: SocketAddress
  var bindSerf: SocketAddress
  var advertiseHTTP: SocketAddress
  var advertiseRPC: SocketAddress
  var advertiseSerf: SocketAddress

  init(_ configuration: AgentConfiguration) throws(StartFailure) {
    func address(_ endpoint: Endpoint, _ what: String) throws(StartFailure) -> SocketAddress {
      switch endpoint {
      case .address(let address): return address
      case .name(let name, let port):
        guard let host = HostSystem.firstAddress(of: name) else {
          throw StartFailure(
            sentence: "\(what): the name \"\(name)\" does not resolve; give an IP address or repair the name service")
        }
        return SocketAddress(host, port: port)
      }
    }
    bindHTTP = []
    for endpoint in configuration.bind.http { bindHTTP.append(try address(endpoint, "addresses.http")) }
    bindRPC = try address(configuration.bind.rpc, "addresses.rpc")
    bindSerf = try address(configuration.bind.serf, "addresses.serf")
    advertiseHTTP = try address(configuration.advertise.http, "advertise.http")
    advertiseRPC = try address(configuration.advertise.rpc, "advertise.rpc")
    advertiseSerf = try address(configuration.advertise.serf, "advertise.serf")
  }
}
