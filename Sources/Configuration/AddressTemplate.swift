import Base

/// A go-sockaddr template: text in which each `{{ ... }}` stands for addresses of this machine (config.md 8). The part
/// that real configurations use; the rest is refused by name.
struct AddressTemplate {
  private var pieces: [Piece] = []

  private enum Piece {
    case literal(String)
    case pipeline([[Word]])
  }

  private struct Word {
    var text: String
    var isQuoted: Bool
  }

  /// What flows through a pipeline.
  private enum Flow {
    case addresses([InterfaceAddress])
    case text(String)
  }

  init(_ text: String) throws(EndpointError) {
    var rest = text[...]
    while let open = rest.firstIndex(ofPair: "{") {
      var literal = String(rest[..<open])
      rest = rest[open...].dropFirst(2)
      guard let close = rest.firstIndex(ofPair: "}") else {
        throw EndpointError(description: "the template \(text.quoted) has no closing \"}}\"; add it")
      }
      var body = rest[..<close]
      rest = rest[close...].dropFirst(2)
      if body.hasPrefix("- ") {
        body = body.dropFirst()
        while literal.last?.isWhitespace == true { literal.removeLast() }
      }
      if body.hasSuffix(" -") {
        body = body.dropLast()
        rest = rest.drop(while: \.isWhitespace)
      }
      if !literal.isEmpty { pieces.append(.literal(literal)) }
      pieces.append(.pipeline(try Self.stages(body, in: text)))
    }
    if !rest.isEmpty { pieces.append(.literal(String(rest))) }
  }

  /// The text, without blanks at its ends. Empty when no address fits.
  func evaluate(_ interfaces: [InterfaceAddress]) throws(EndpointError) -> String {
    var result = ""
    for piece in pieces {
      switch piece {
      case .literal(let text): result += text
      case .pipeline(let stages):
        var flow: Flow?
        for stage in stages { flow = try Self.run(stage, on: flow, interfaces) }
        switch flow {
        case .text(let text)?: result += text
        case .addresses(let addresses)?: result += addresses.map { "\($0.address)" }.joined(separator: " ")
        case nil: break
        }
      }
    }
    return result.trimmed
  }

  private static func stages(_ body: Substring, in text: String) throws(EndpointError) -> [[Word]] {
    var stages: [[Word]] = [[]]
    var rest = body
    while let next = rest.first {
      if next.isWhitespace {
        rest = rest.dropFirst()
      } else if next == "|" {
        rest = rest.dropFirst()
        stages.append([])
      } else if next == "\"" || next == "`" {
        let inside = rest.dropFirst()
        guard let end = inside.firstIndex(of: next) else {
          throw EndpointError(description: "the template \(text.quoted) has a quote that is not closed; close it")
        }
        stages[stages.count - 1].append(Word(text: String(inside[..<end]), isQuoted: true))
        rest = inside[end...].dropFirst()
      } else {
        let word = rest.prefix { !$0.isWhitespace && $0 != "|" && $0 != "\"" && $0 != "`" }
        stages[stages.count - 1].append(Word(text: String(word), isQuoted: false))
        rest = rest.dropFirst(word.count)
      }
    }
    guard stages.allSatisfy({ !$0.isEmpty }) else {
      throw EndpointError(
        description: "the template \(text.quoted) has an empty step; write {{ GetPrivateIP }} or similar")
    }
    return stages
  }

  private static func run(
    _ stage: [Word], on flow: Flow?, _ interfaces: [InterfaceAddress]
  ) throws(EndpointError) -> Flow {
    let name = stage[0].text
    let arguments = stage.dropFirst().map(\.text)
    if stage[0].isQuoted { return .text(name) }
    func argument(_ index: Int) throws(EndpointError) -> String {
      guard index < arguments.count else {
        throw EndpointError(
          description: "the template function \(name) needs \(index + 1) argument(s) in quotes; add them")
      }
      return arguments[index]
    }
    let forwardable = interfaces.filter { $0.isForwardable && $0.isUp }.preferred
    switch name {
    case "GetAllInterfaces": return .addresses(interfaces)
    case "GetDefaultInterfaces": return .addresses(interfaces.filter(\.hasDefaultRoute).preferred)
    case "GetPrivateInterfaces": return .addresses(forwardable.filter(\.address.isPrivate))
    case "GetPublicInterfaces": return .addresses(forwardable.filter { !$0.address.isPrivate })
    case "GetPrivateIP": return .addresses(Array(forwardable.filter(\.address.isPrivate).prefix(1)))
    case "GetPrivateIPs": return .addresses(forwardable.filter(\.address.isPrivate))
    case "GetPublicIP": return .addresses(Array(forwardable.filter { !$0.address.isPrivate }.prefix(1)))
    case "GetPublicIPs": return .addresses(forwardable.filter { !$0.address.isPrivate })
    case "GetInterfaceIP", "GetInterfaceIPs":
      let pattern = try pattern(argument(0), for: name)
      let found = forwardable.filter { pattern.matches($0.name) }
      return .addresses(name == "GetInterfaceIP" ? Array(found.prefix(1)) : found)
    default: break
    }
    guard case .addresses(let addresses)? = flow else {
      throw EndpointError(
        description: isFilter(name)
          ? "the template function \(name) needs addresses before it; write {{ GetAllInterfaces | \(name) ... }}"
          : "the template function \(name.quoted) is not known; use GetPrivateIP, GetPublicIP, GetInterfaceIP "
            + "\"eth0\", "
            + "GetAllInterfaces, GetPrivateInterfaces, GetDefaultInterfaces with include, exclude, sort, limit, "
            + "attr or join"
      )
    }
    switch name {
    case "include", "exclude":
      let test = try test(argument(0), argument(1))
      return .addresses(addresses.filter { test($0) == (name == "include") })
    case "limit", "offset":
      guard let count = Int(try argument(0)), count >= 0 else {
        throw EndpointError(description: "the template function \(name) needs a number from 0 up; correct it")
      }
      return .addresses(Array(name == "limit" ? addresses.prefix(count) : addresses.dropFirst(count)))
    case "sort": return .addresses(try sorted(addresses, by: argument(0)))
    case "unique":
      let key = try attribute(argument(0))
      var seen: Set<String> = []
      return .addresses(addresses.filter { seen.insert(key($0)).inserted })
    case "join":
      return .text(addresses.map(try attribute(argument(0))).joined(separator: try argument(1)))
    case "attr":
      return .text(addresses.first.map(try attribute(argument(0))) ?? "")
    default:
      throw EndpointError(
        description:
          "the template function \(name.quoted) is not known; use include, exclude, sort, unique, limit, offset, "
          + "attr or join after a source of addresses")
    }
  }

  private static func isFilter(_ name: String) -> Bool {
    ["include", "exclude", "limit", "offset", "sort", "unique", "join", "attr"].contains(name)
  }

  private static func pattern(_ text: String, for function: String) throws(EndpointError) -> NamePattern {
    guard let pattern = NamePattern(text) else {
      throw EndpointError(
        description:
          "\(text.quoted) for \(function) is more than the supported patterns; use plain text with . * + ? [ ] ^ $ or |"
      )
    }
    return pattern
  }

  private static func test(
    _ what: String, _ wanted: String
  ) throws(EndpointError) -> (InterfaceAddress) -> Bool {
    let choices = wanted.lowercased().split(separator: "|").map(String.init)
    switch what {
    case "name":
      let pattern = try pattern(wanted, for: "name")
      return { pattern.matches($0.name) }
    case "address":
      let pattern = try pattern(wanted, for: "address")
      return { pattern.matches("\($0.address)") }
    case "type" where choices.allSatisfy({ ["ip", "ipv4", "ipv6"].contains($0) }):
      return { choices.contains("ip") || choices.contains($0.isIPv4 ? "ipv4" : "ipv6") }
    case "flags" where choices.allSatisfy({ ["up", "down", "loopback", "forwardable"].contains($0) }):
      return { entry in
        choices.contains {
          switch $0 {
          case "up": entry.isUp
          case "down": !entry.isUp
          case "loopback": entry.address.isLoopback
          default: entry.isForwardable
          }
        }
      }
    case "rfc" where choices.allSatisfy({ ["1918", "6890"].contains($0) }):
      // Both lists agree on the addresses that a machine can have and that are forwardable.
      return { $0.address.isPrivate }
    case "network":
      let networks = choices.map(Network.init)
      guard networks.allSatisfy({ $0 != nil }) else {
        throw EndpointError(
          description: "\(wanted.quoted) is not a list of networks; write \"10.0.0.0/8|192.168.0.0/16\"")
      }
      return { entry in networks.contains { $0?.contains(entry.address) == true } }
    default:
      throw EndpointError(
        description:
          "a template cannot select by \(what.quoted) \(wanted.quoted); use \"name\", \"address\", \"network\", "
          + "\"type\" ipv4|ipv6|ip, \"flags\" up|down|loopback|forwardable or \"rfc\" 1918|6890")
    }
  }

  private static func attribute(_ name: String) throws(EndpointError) -> (InterfaceAddress) -> String {
    switch name {
    case "address", "host": return { "\($0.address)" }
    case "name": return \.name
    case "mask_bits": return { "\($0.prefixLength)" }
    case "type": return { $0.isIPv4 ? "IPv4" : "IPv6" }
    case "string": return { "\($0.address)/\($0.prefixLength)" }
    default:
      throw EndpointError(
        description:
          "a template cannot print the attribute \(name.quoted); use address, name, type, mask_bits or string")
    }
  }

  private static func sorted(_ addresses: [InterfaceAddress], by keys: String) throws(EndpointError)
    -> [InterfaceAddress]
  {
    var result = addresses
    // Stable sorts from the last key to the first leave the first key in charge.
    for key in keys.split(separator: ",").reversed() {
      let descending = key.hasPrefix("-")
      let rank: (InterfaceAddress) -> [UInt8]
      switch key.hasPrefix("-") || key.hasPrefix("+") ? key.dropFirst() : key {
      case "default": rank = { [$0.hasDefaultRoute ? 0 : 1] }
      case "private": rank = { [$0.address.isPrivate ? 0 : 1] }
      case "type": rank = { [$0.isIPv4 ? 0 : 1] }
      case "name": rank = { Array($0.name.utf8) }
      case "address": rank = { [$0.isIPv4 ? 4 : 6] + $0.address.networkBytes }
      // Size is the number of addresses in the network: the longer the prefix, the smaller.
      case "size": rank = { [UInt8(clamping: ($0.isIPv4 ? 32 : 128) - $0.prefixLength)] }
      default:
        throw EndpointError(
          description:
            "a template cannot sort by \(String(key).quoted); use default, private, type, name, address or size")
      }
      // `sort(by:)` is stable in practice but not by promise, hence the position as the last resort.
      result = result.enumerated().sorted { a, b in
        let (x, y) = (rank(a.element), rank(b.element))
        if x == y { return a.offset < b.offset }
        return x.lexicographicallyPrecedes(y) != descending
      }.map(\.element)
    }
    return result
  }
}

/// `10.0.0.0/8`.
private struct Network {
  private var base: [UInt8]
  private var prefixLength: Int

  init?(_ text: String) {
    guard let slash = text.firstIndex(of: "/"), let address = IPAddress(text[..<slash]),
      let length = Int(text[text.index(after: slash)...]), length >= 0, length <= address.networkBytes.count * 8
    else { return nil }
    base = address.networkBytes
    prefixLength = length
  }

  func contains(_ address: IPAddress) -> Bool {
    let bytes = address.networkBytes
    guard bytes.count == base.count else { return false }
    return (0..<prefixLength).allSatisfy { bit in
      (bytes[bit / 8] ^ base[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
    }
  }
}

extension [InterfaceAddress] {
  /// The default route's interface first, then IPv4 before IPv6, else the system's order.
  fileprivate var preferred: [InterfaceAddress] {
    enumerated().sorted { a, b in
      func rank(_ entry: InterfaceAddress) -> Int { (entry.hasDefaultRoute ? 0 : 2) + (entry.isIPv4 ? 0 : 1) }
      return (rank(a.element), a.offset) < (rank(b.element), b.offset)
    }.map(\.element)
  }
}

extension Substring {
  /// Where `character` stands twice in a row.
  fileprivate func firstIndex(ofPair character: Character) -> Index? {
    indices.first { self[$0] == character && index(after: $0) < endIndex && self[index(after: $0)] == character }
  }
}
