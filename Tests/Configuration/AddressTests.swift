import Base
import Testing

@testable import Configuration

/// Bind and advertise addresses, templates, join entries.
@Suite struct AddressTests {
  private let minimal = "data_dir = \"/d\" server { enabled = true }\n"

  private let crowded = HostFacts(
    hostName: "beta",
    interfaces: [
      InterfaceAddress(name: "lo", address: .loopback, prefixLength: 8),
      InterfaceAddress(name: "docker0", address: IPAddress("172.17.0.1")!, prefixLength: 16),
      InterfaceAddress(name: "eth0", address: IPAddress("fd00::5")!, prefixLength: 64, hasDefaultRoute: true),
      InterfaceAddress(name: "eth0", address: IPAddress("10.0.0.5")!, prefixLength: 24, hasDefaultRoute: true),
      InterfaceAddress(name: "eth1", address: IPAddress("203.0.113.7")!, prefixLength: 28),
      InterfaceAddress(name: "eth2", address: IPAddress("192.168.7.7")!, prefixLength: 24, isUp: false),
      InterfaceAddress(name: "eth3", address: IPAddress("169.254.1.1")!, prefixLength: 16),
    ])

  private let lonely = HostFacts(hostName: "gamma", interfaces: [InterfaceAddress(name: "lo", address: .loopback)])

  private func template(_ text: String) -> String {
    do { return try AddressTemplate(text).evaluate(crowded.interfaces) } catch { return "error: \(error)" }
  }

  @Test func templatesOfTheDocumentation() {
    let cases: [(String, String)] = [
      ("10.1.2.3", "10.1.2.3"),
      ("{{ GetPrivateIP }}", "10.0.0.5"),
      ("{{GetPrivateIP}}:5647", "10.0.0.5:5647"),
      ("{{ GetPrivateIPs }}", "10.0.0.5 fd00::5 172.17.0.1"),
      ("{{ GetPublicIP }}", "203.0.113.7"),
      ("{{ GetInterfaceIP \"eth0\" }}", "10.0.0.5"),
      ("{{ GetInterfaceIP `eth0` }}", "10.0.0.5"),
      ("{{ GetInterfaceIP \"^eth[1-9]$\" }}", "203.0.113.7"),
      ("{{ GetInterfaceIPs \"eth\" }}", "10.0.0.5 fd00::5 203.0.113.7"),
      ("{{ GetInterfaceIP \"lo\" }}", ""),
      ("{{ GetInterfaceIP \"wg0\" }}", ""),
      ("{{ GetAllInterfaces | include \"name\" \"lo\" | attr \"address\" }}", "127.0.0.1"),
      ("{{ GetPrivateInterfaces | include \"network\" \"172.16.0.0/12\" | attr \"address\" }}", "172.17.0.1"),
      ("{{ GetPrivateInterfaces | exclude \"type\" \"ipv6\" | join \"address\" \",\" }}", "10.0.0.5,172.17.0.1"),
      (
        "{{ GetAllInterfaces | include \"rfc\" \"1918\" | include \"flags\" \"forwardable|up\" | sort "
          + "\"-address\" | limit 1 | attr \"string\" }}",
        "fd00::5/64"
      ),
      (
        "{{ GetAllInterfaces | exclude \"flags\" \"loopback\" | sort \"type,-name\" | limit 2 | join \"name\" \" \" }}",
        "eth3 eth2"
      ),
      ("{{ GetDefaultInterfaces | include \"type\" \"ipv6\" | attr \"address\" }}", "fd00::5"),
      ("{{ GetAllInterfaces | unique \"name\" | offset 2 | limit 1 | attr \"name\" }}", "eth0"),
      ("a {{- \"b\" -}} c", "abc"),
    ]
    for (text, wanted) in cases { #expect(template(text) == wanted, "\(text)") }
    #expect(template("a {{- \" b\" }}") == "a b")
  }

  @Test func templatesOutOfReachAreRefusedByName() {
    let cases: [(String, String)] = [
      ("{{ GetPrivateIP", "the template \"{{ GetPrivateIP\" has no closing \"}}\"; add it"),
      ("{{ }}", "the template \"{{ }}\" has an empty step; write {{ GetPrivateIP }} or similar"),
      (
        "{{ GetPrivateInterfaces | }}",
        "the template \"{{ GetPrivateInterfaces | }}\" has an empty step; write {{ GetPrivateIP }} or similar"
      ),
      ("{{ GetInterfaceIP }}", "the template function GetInterfaceIP needs 1 argument(s) in quotes; add them"),
      (
        "{{ GetInterfaceIP \"eth0 }}",
        "the template \"{{ GetInterfaceIP \\\"eth0 }}\" has a quote that is not closed; close it"
      ),
      (
        "{{ GetInterfaceIP \"(a)\" }}",
        "\"(a)\" for GetInterfaceIP is more than the supported patterns; use plain text with . * + ? [ ] ^ $ or |"
      ),
      (
        "{{ limit 1 }}",
        "the template function limit needs addresses before it; write {{ GetAllInterfaces | limit ... }}"
      ),
      ("{{ GetAllInterfaces | limit \"x\" }}", "the template function limit needs a number from 0 up; correct it"),
      (
        "{{ GetAllInterfaces | math \"address\" \"+1\" }}",
        "the template function \"math\" is not known; use include, exclude, sort, unique, limit, offset, attr or "
          + "join after a source of addresses"
      ),
      (
        "{{ GetAllInterfaces | attr \"binary\" }}",
        "a template cannot print the attribute \"binary\"; use address, name, type, mask_bits or string"
      ),
      (
        "{{ GetAllInterfaces | sort \"port\" }}",
        "a template cannot sort by \"port\"; use default, private, type, name, address or size"
      ),
      (
        "{{ GetAllInterfaces | include \"network\" \"ten\" }}",
        "\"ten\" is not a list of networks; write \"10.0.0.0/8|192.168.0.0/16\""
      ),
      (
        "{{ GetAllInterfaces | include \"port\" \"1\" }}",
        "a template cannot select by \"port\" \"1\"; use \"name\", \"address\", \"network\", \"type\" "
          + "ipv4|ipv6|ip, \"flags\" up|down|loopback|forwardable or \"rfc\" 1918|6890"
      ),
    ]
    for (text, wanted) in cases { #expect(template(text) == "error: " + wanted) }
    #expect(
      refusal("bind_addr = \"{{ Foo }}\" server { enabled = true } data_dir = \"/d\"")
        == "a.hcl:1:13: bind_addr: the template function \"Foo\" is not known; use GetPrivateIP, GetPublicIP, "
        + "GetInterfaceIP \"eth0\", GetAllInterfaces, GetPrivateInterfaces, GetDefaultInterfaces with include, "
        + "exclude, "
        + "sort, limit, attr or join")
  }

  @Test func namePatternsMatchAnywhereUnlessAnchored() {
    let cases: [(String, String, Bool)] = [
      ("eth0", "eth0", true), ("eth0", "veth01", true), ("^eth0$", "eth01", false), ("^en(", "en", false),
      ("e.h[0-9]+", "exh42", true), ("^e[^t]", "eth0", false), ("a|b$", "xb", true), ("wl.*0", "wlan10", true),
      ("x?y", "y", true), ("br\\-1", "br-1", true), ("", "lo", true),
    ]
    for (pattern, name, wanted) in cases {
      #expect((NamePattern(pattern)?.matches(name) ?? false) == wanted, "\(pattern) \(name)")
    }
    for pattern in ["a**", "*", "[", "[]", "a{2}", "\\d", "a^b", String(repeating: "a", count: 65)] {
      #expect(NamePattern(pattern) == nil, "\(pattern)")
    }
  }

  @Test func wildcardBindAdvertisesThePrivateAddress() throws {
    let configuration = try accepted(minimal, host: crowded)
    #expect(configuration.bind.http == [endpoint("0.0.0.0:4646")])
    #expect(configuration.advertise.rpc == endpoint("10.0.0.5:4647"))
    let six = try accepted(minimal, ["--bind", "::"], host: crowded)
    #expect(six.bind.serf == endpoint("[::]:4648"))
    #expect(six.advertise.serf == endpoint("10.0.0.5:4648"))
  }

  @Test func wildcardBindWithoutPrivateAddressIsRefused() {
    #expect(
      refusal(minimal, host: lonely)
        == "no address to advertise for http: the agent binds 0.0.0.0, and this machine has no private address. "
        + "Defaulting "
        + "advertise to localhost is unsafe, please set advertise manually, such as --advertise 192.0.2.10, or "
        + "give one "
        + "address to --bind")
  }

  @Test func loopbackThatWasAskedForIsAllowedWithAWarning() throws {
    let outcome = resolve(["--bind", "127.0.0.2"], hcl: minimal, host: lonely)
    #expect(outcome.configuration?.advertise.serf == endpoint("127.0.0.2:4648"))
    #expect(outcome.configuration?.advertise.rpc == endpoint("127.0.0.2:4647"))
    #expect(outcome.warnings == ["the agent advertises 127.0.0.2, so that only agents on this machine can reach it"])
    #expect(resolve(["--bind=127.0.0.2", "--advertise=127.0.0.2"], hcl: minimal).warnings == [])
  }

  @Test func developmentModeNeedsNothing() throws {
    let outcome = resolve(["-dev"], host: lonely)
    let configuration = try #require(outcome.configuration)
    #expect(configuration.developmentMode)
    #expect(configuration.dataDirectory == nil)
    #expect(configuration.server?.bootstrapExpect == 1)
    #expect(configuration.server?.dataDirectory == nil)
    #expect(configuration.client?.stateDirectory == nil)
    #expect(configuration.advertise.http == endpoint("127.0.0.1:4646"))
    #expect(configuration.log.level == .debug)
    #expect(configuration.telemetry.prometheusMetrics)
    #expect(configuration.enableDebug)
    #expect(outcome.warnings == [])
    let other = try accepted("region = \"x\" ports { http = 5646 }", ["-dev", "-bind", "127.0.5.1"], host: lonely)
    #expect(other.bind.http == [endpoint("127.0.5.1:5646")])
    #expect(other.region == "x")
  }

  @Test func addressesAndAdvertiseByService() throws {
    let configuration = try accepted(
      minimal + """
        bind_addr = "10.0.0.1"
        addresses { http = "0.0.0.0" rpc = "{{ GetPrivateIP }}" serf = "[fd00::1]" }
        advertise { http = "[::1]" rpc = "10.0.0.1:5647" serf = "nomad-1.example:5648" }
        """)
    #expect(configuration.bind.http == [endpoint("0.0.0.0:4646")])
    #expect(configuration.bind.rpc == endpoint("10.0.0.5:4647"))
    #expect(configuration.bind.serf == endpoint("[fd00::1]:4648"))
    #expect(configuration.advertise.http == endpoint("[::1]:4646"))
    #expect(configuration.advertise.rpc == endpoint("10.0.0.1:5647"))
    #expect(configuration.advertise.serf == .name("nomad-1.example", port: 5648))
    #expect("\(configuration.advertise.serf)" == "nomad-1.example:5648")
  }

  @Test func httpMayListenOnSeveralAddresses() throws {
    let configuration = try accepted(minimal + "addresses { http = \"10.0.0.1 127.0.0.1\" }")
    #expect(configuration.bind.http == [endpoint("10.0.0.1:4646"), endpoint("127.0.0.1:4646")])
    #expect(
      refusal(minimal + "addresses { rpc = \"10.0.0.1 10.0.0.2\" }")
        == "a.hcl:2:19: addresses.rpc: Multiple addresses found (\"10.0.0.1 10.0.0.2\"), please configure one.")
    #expect(
      refusal(minimal + "bind_addr = \"{{ GetPrivateIPs }}\"", host: crowded)
        == "a.hcl:2:13: bind_addr: Multiple addresses found (\"10.0.0.5 fd00::5 172.17.0.1\"), please configure one.")
  }

  @Test func addressesThatCannotBeUsed() {
    let cases: [(String, String)] = [
      (
        "bind_addr = \"10.0.0.1:4646\"",
        "13: bind_addr: \"10.0.0.1:4646\" has a port, and only an address belongs here; set the port in the block ports"
      ),
      ("bind_addr = \"10.0.0.256\"", "13: bind_addr: \"10.0.0.256\" is not an IPv4 address; correct it"),
      (
        "bind_addr = \"{{ GetInterfaceIP \\\"wg0\\\" }}\"",
        "13: bind_addr = \"{{ GetInterfaceIP \\\"wg0\\\" }}\" finds no address on this machine; write an address "
          + "instead"
      ),
      (
        "advertise { rpc = \"0.0.0.0\" }",
        "19: advertise.rpc is 0.0.0.0, which nobody can reach; write the address that other agents use for this machine"
      ),
      (
        "advertise { rpc = \"10.0.0.1:99999\" }",
        "19: advertise.rpc: the port \"99999\" of \"10.0.0.1:99999\" is not a number from 1 to 65535; correct it"
      ),
      (
        "advertise { serf = \"bad host\" }",
        "20: advertise.serf: Multiple addresses found (\"bad host\"), please configure one."
      ),
      ("ports { http = 4647 }", "16: ports.http and ports.rpc are both 4647; give each service its own port"),
    ]
    for (text, wanted) in cases { #expect(refusal(minimal + text) == "a.hcl:2:" + wanted) }
  }

  @Test func servicesMayShareAPortOnDifferentAddresses() throws {
    let configuration = try accepted(
      minimal + "ports { http = 4000 rpc = 4000 }\naddresses { http = \"10.0.0.1\" rpc = \"10.0.0.2\" }")
    #expect(configuration.bind.rpc == endpoint("10.0.0.2:4000"))
  }

  @Test func emptyAdvertiseTemplateCountsAsNotSetAndIsTold() {
    let outcome = resolve([], hcl: minimal + "advertise { rpc = \"{{ GetInterfaceIP \\\"wg0\\\" }}\" }")
    #expect(outcome.configuration?.advertise.rpc == endpoint("10.0.0.5:4647"))
    #expect(
      outcome.warnings
        == [
          "advertise.rpc = \"{{ GetInterfaceIP \\\"wg0\\\" }}\" finds no address on this machine and is treated "
            + "as not set"
        ])
  }

  @Test func joinEntriesOfEveryKind() throws {
    let cases: [(String, JoinEntry)] = [
      ("10.0.0.1", .endpoint(endpoint("10.0.0.1:4648"))),
      ("10.0.0.1:1234", .endpoint(endpoint("10.0.0.1:1234"))),
      (" 10.0.0.1 ", .endpoint(endpoint("10.0.0.1:4648"))),
      ("fd00::1", .endpoint(endpoint("[fd00::1]:4648"))),
      ("[fd00::1]", .endpoint(endpoint("[fd00::1]:4648"))),
      ("[fd00::1]:99", .endpoint(endpoint("[fd00::1]:99"))),
      ("nomad", .endpoint(.name("nomad", port: 4648))),
      ("nomad.example.:99", .endpoint(.name("nomad.example.", port: 99))),
      ("s1.global/10.0.0.1:99", .endpoint(endpoint("10.0.0.1:99"))),
      ("s1/nomad", .endpoint(.name("nomad", port: 4648))),
      ("provider=srv service=nomad domain=example.com", .service(query: "_nomad._tcp.example.com")),
      ("provider=srv proto=\"udp\" service=nomad  domain=example.com", .service(query: "_nomad._udp.example.com")),
      ("file=/etc/nomadd/servers", .file("/etc/nomadd/servers", defaultPort: 4648)),
      ("exec=/bin/list  --all x", .program(["/bin/list", "--all", "x"], defaultPort: 4648)),
    ]
    for (text, wanted) in cases { #expect(try JoinEntry(text, defaultPort: 4648) == wanted) }
  }

  @Test func joinEntriesThatCannotBeUsed() {
    let cases: [(String, String)] = [
      ("", "\"\" names no host; write host:port or an IP address"),
      (":4648", "\":4648\" names no host; write host:port or an IP address"),
      ("10.0.0.1:", "the port \"\" of \"10.0.0.1:\" is not a number from 1 to 65535; correct it"),
      ("10.0.0.1:+5", "the port \"+5\" of \"10.0.0.1:+5\" is not a number from 1 to 65535; correct it"),
      ("10.0.0.1:0", "the port \"0\" of \"10.0.0.1:0\" is not a number from 1 to 65535; correct it"),
      ("10.0.0.1:65536", "the port \"65536\" of \"10.0.0.1:65536\" is not a number from 1 to 65535; correct it"),
      ("300.0.0.1", "\"300.0.0.1\" is not an IPv4 address; correct it"),
      ("[fd00::1", "\"[fd00::1\" has no closing bracket; write [address]:port"),
      ("[nomad]:1", "\"[nomad]:1\" is not an IPv6 address in brackets; write [address]:port"),
      ("[fd00::1]x", "\"[fd00::1]x\" is not an IPv6 address in brackets; write [address]:port"),
      ("fd00:::1", "\"fd00:::1\" is not an IPv6 address; write [address]:port"),
      ("a b", "\"a b\" is neither an IP address nor a host name; correct it"),
      ("a..b", "\"a..b\" is neither an IP address nor a host name; correct it"),
      ("http://10.0.0.1:4646", "\"http://10.0.0.1:4646\" is a URL; leave out the scheme and the path"),
      ("exec= ", "\"exec=\" names no program; write exec=/path/to/program and its arguments"),
      ("provider=", "discover: provider: missing value; write provider=srv, or the addresses themselves"),
      (
        "provider=foo a=b", "discover: unknown provider foo; use provider=srv, exec=PROGRAM or the addresses themselves"
      ),
      (
        "provider=aws tag_key=a tag_value=\"b c\"",
        "the cloud provider aws is not built in; use provider=srv, exec=PROGRAM or the addresses themselves"
      ),
      (
        "provider=srv domain=example.com",
        "\"provider=srv domain=example.com\" has no usable service; write provider=srv service=nomad domain=example.com"
      ),
      ("provider=srv service", "found \"service\" in \"provider=srv service\", which is not key=value; correct it"),
      ("provider=\"srv", "\"provider=\\\"srv\" has a quote that is not closed; close it"),
    ]
    for (text, wanted) in cases {
      do {
        let entry = try JoinEntry(text, defaultPort: 4648)
        Issue.record("accepted \(text) as \(entry)")
      } catch { #expect(error.description == wanted) }
    }
  }

  @Test func serversJoinAtTheirOwnGossipPortAndClientsAtTheRPCPort() throws {
    let server = try accepted(minimal + "ports { serf = 5000 rpc = 6000 }", ["--retry-join", "10.0.0.1"])
    #expect(server.server?.join.retry == [.endpoint(endpoint("10.0.0.1:5000"))])
    let client = try accepted(
      "data_dir = \"/d\" ports { rpc = 6000 } client { enabled = true server_join { retry_join = [\"10.0.0.1\"] } }")
    #expect(client.client?.join.retry == [.endpoint(endpoint("10.0.0.1:4647"))])
  }

  @Test func hostileTextsNeverTrap() {
    var random = RandomSource(seed: 7)
    let letters = Array("{}|\"`-. []:/=<>%0a1fGetPrivateIP include \\^$*+?,\u{e9}")
    for _ in 0..<20_000 {
      let text = String(
        (0..<Int.random(in: 0..<24, using: &random)).map { _ in
          letters[Int.random(in: 0..<letters.count, using: &random)]
        })
      _ = try? JoinEntry(text, defaultPort: 1)
      _ = try? JoinEntry("provider=" + text, defaultPort: 1)
      _ = try? AddressTemplate("{{" + text + "}}").evaluate(crowded.interfaces)
      _ = try? AddressTemplate(text).evaluate(crowded.interfaces)
      _ = NamePattern(text)?.matches("eth0")
      _ = Interval(duration: text)
    }
  }
}
