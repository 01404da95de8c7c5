import Base
import Testing

@Suite struct AddressTests {
  @Test(arguments: [
    ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"),
    ("::1", "::1"), ("1::", "1::"), ("2001:DB8::0001", "2001:db8::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("0:0:0:0:0:0:0:0", "::"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
    ("fe80::1%2", "fe80::1%2"), ("::ffff:1.2.3.4", "1.2.3.4"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1::8", "1::8"),
    ("0:0:1:0:0:0:0:0", "0:0:1::"),
  ])
  func `addresses in every spelling have one canonical form`(text: String, canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1..2.3", " 1.2.3.4", "1.2.3.4 ", "+1.2.3.4", "-1.2.3.4",
    "1.2.3.a", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
    "12345::", "g::", "+1::", "-1::", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "fe80::1%", "fe80::1%eth0", "fe80::1%-1",
    "fe80::1%+1", "[::1]",
    "1:2:3:4:5:6:7:1.2.3.4", "%1", "::%4294967296", "1:", ":1", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8",
  ])
  func `what is no address is refused`(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func `socket addresses`() {
    #expect(SocketAddress("1.2.3.4:5")?.description == "1.2.3.4:5")
    #expect(SocketAddress("[::1]:4647")?.description == "[::1]:4647")
    #expect(SocketAddress("[fe80::1%3]:1")?.description == "[fe80::1%3]:1")
    #expect(SocketAddress("[::ffff:1.2.3.4]:1") == SocketAddress("1.2.3.4:1"))
    for text in [
      "1.2.3.4", "::1:4647", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:", ":1", "[::1:5", "::1]:5", "name:1", "", ":",
      "[]:1",
    ] {
      #expect(SocketAddress(text) == nil, "\(text)")
    }
  }

  @Test func `a port is digits only`() {
    #expect(SocketAddress("1.2.3.4:+5") == nil)
  }

  @Test func `network bytes both ways`() {
    for text in ["1.2.3.4", "2001:db8::1", "::1"] {
      let address = IPAddress(text)
      #expect(address != nil)
      #expect(address.flatMap { IPAddress(networkBytes: $0.networkBytes) } == address)
    }
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]
    #expect(IPAddress(networkBytes: mapped) == IPAddress("1.2.3.4"))
    #expect(IPAddress(networkBytes: []) == nil)
    #expect(IPAddress(networkBytes: [1, 2, 3]) == nil)
  }

  @Test(arguments: [
    ("127.0.0.1", true, false), ("127.255.0.1", true, false), ("128.0.0.1", false, false), ("::1", true, false),
    ("10.0.0.1", false, true), ("11.0.0.1", false, false), ("172.15.0.1", false, false), ("172.16.0.1", false, true),
    ("172.31.255.255", false, true), ("172.32.0.1", false, false), ("192.168.1.1", false, true),
    ("192.169.1.1", false, false), ("100.63.0.1", false, false), ("100.64.0.1", false, true),
    ("100.127.255.255", false, true), ("100.128.0.0", false, false), ("fc00::1", false, true), ("fdff::1", false, true),
    ("fe00::1", false, false), ("8.8.8.8", false, false),
  ])
  func `ranges`(text: String, isLoopback: Bool, isPrivate: Bool) throws {
    let address = try #require(IPAddress(text))
    #expect(address.isLoopback == isLoopback)
    #expect(address.isPrivate == isPrivate)
  }

  @Test func `unspecified addresses`() {
    #expect(IPAddress.any4.isUnspecified)
    #expect(IPAddress.any6.isUnspecified)
    #expect(!IPAddress.loopback.isUnspecified)
  }

  @Test func `random addresses survive text`() {
    var random = RandomSource(seed: 5)
    for _ in 0..<2000 {
      // Sparse groups make all places of the double colon appear.
      func half() -> UInt64 {
        (0..<4).reduce(0) { sum, _ in sum << 16 | (random.chance(0.5) ? 0 : random.next() & 0xFFFF) }
      }
      let address = IPAddress(high: half(), low: half(), zone: 0)
      #expect(IPAddress(address.description) == address)
    }
  }
}
