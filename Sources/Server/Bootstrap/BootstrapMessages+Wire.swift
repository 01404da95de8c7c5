import Base
import Wire

// The bootstrap protocol's RPC bodies: maps with string keys, unknown keys ignored, as everywhere on this port.

extension BootstrapRequest {
  public func encode(into out: inout [UInt8]) {
    out.packMapHeader(7)
    out.pack("Kind" as StaticString)
    out.pack(kind.rawValue)
    out.pack("Counter" as StaticString)
    out.pack(unsigned: ballot.counter)
    out.pack("Proposer" as StaticString)
    out.pack(ballot.proposer)
    out.pack("SenderID" as StaticString)
    out.pack(sender.id)
    out.pack("SenderAddress" as StaticString)
    out.pack(sender.address)
    out.pack("Expect" as StaticString)
    out.pack(signed: Int64(expect))
    out.pack("Servers" as StaticString)
    servers.encode(into: &out)
  }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    var request = BootstrapRequest(
      kind: .prepare, ballot: Ballot(counter: 0, proposer: ""), sender: BootstrapServer(id: "", address: ""), expect: 0,
      servers: [])
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readString() {
      case "Kind":
        guard let kind = Kind(rawValue: try reader.readString()) else { throw .malformed }
        request.kind = kind
      case "Counter": request.ballot.counter = try reader.readUInt64()
      case "Proposer": request.ballot.proposer = try reader.readString()
      case "SenderID": request.sender.id = try reader.readString()
      case "SenderAddress": request.sender.address = try reader.readString()
      case "Expect": request.expect = try reader.readInteger(as: Int.self)
      case "Servers": request.servers = try [BootstrapServer](&reader)
      default: try reader.skip()
      }
    }
    self = request
  }
}

extension BootstrapReply {
  public func encode(into out: inout [UInt8]) {
    out.packMapHeader(2)
    out.pack("Answer" as StaticString)
    out.pack(answer.rawValue)
    out.pack("Reason" as StaticString)
    out.pack(reason)
  }

  public init(_ reader: inout MessagePackReader) throws(WireError) {
    var answer: Answer?
    var reason = ""
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readString() {
      case "Answer": answer = Answer(rawValue: try reader.readString())
      case "Reason": reason = try reader.readString()
      default: try reader.skip()
      }
    }
    guard let answer else { throw .malformed }
    self.init(answer, reason: reason)
  }
}

extension BootstrapRecord {
  /// The disk form: version, record, then a checksum is the file store's business.
  public func encode(into out: inout [UInt8]) {
    out.packMapHeader(promise == nil ? 2 : 6)
    out.pack("Version" as StaticString)
    out.pack(unsigned: 1)
    out.pack("Counter" as StaticString)
    out.pack(unsigned: counter)
    guard let promise else { return }
    out.pack("BallotCounter" as StaticString)
    out.pack(unsigned: promise.ballot.counter)
    out.pack("BallotProposer" as StaticString)
    out.pack(promise.ballot.proposer)
    out.pack("Decided" as StaticString)
    out.pack(promise.isDecided)
    out.pack("Servers" as StaticString)
    promise.servers.encode(into: &out)
  }

  /// Errors: any damage; a version that this program does not know is `.malformed`.
  public init(_ reader: inout MessagePackReader) throws(WireError) {
    self.init()
    var ballot: Ballot?
    var proposer = ""
    var isDecided = false
    var servers: [BootstrapServer] = []
    for _ in 0..<(try reader.readMapHeader()) {
      switch try reader.readString() {
      case "Version": guard try reader.readUInt64() == 1 else { throw .malformed }
      case "Counter": counter = try reader.readUInt64()
      case "BallotCounter": ballot = Ballot(counter: try reader.readUInt64(), proposer: "")
      case "BallotProposer": proposer = try reader.readString()
      case "Decided": isDecided = try reader.readBool()
      case "Servers": servers = try [BootstrapServer](&reader)
      default: try reader.skip()
      }
    }
    if var ballot {
      ballot.proposer = proposer
      promise = Promise(ballot: ballot, servers: servers, isDecided: isDecided)
    }
  }
}

extension [BootstrapServer] {
  func encode(into out: inout [UInt8]) {
    out.packArrayHeader(count)
    for server in self {
      out.packMapHeader(2)
      out.pack("ID" as StaticString)
      out.pack(server.id)
      out.pack("Address" as StaticString)
      out.pack(server.address)
    }
  }

  init(_ reader: inout MessagePackReader) throws(WireError) {
    self = []
    let count = try reader.readArrayHeader()
    guard count <= BootstrapMachine.maximumServers else { throw .tooLarge }
    for _ in 0..<count {
      var server = BootstrapServer(id: "", address: "")
      for _ in 0..<(try reader.readMapHeader()) {
        switch try reader.readString() {
        case "ID": server.id = try reader.readString()
        case "Address": server.address = try reader.readString()
        default: try reader.skip()
        }
      }
      append(server)
    }
  }
}
