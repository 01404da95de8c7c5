import Base

/// A name and a value of a node's `Attributes`, `Links` or `Meta`.
public struct NodeAttribute: Hashable, Sendable {
  public var name: String
  public var value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// What our own client agent tells of its machine, and how it becomes a complete node of Nomad 1.1 (rpc.md section
/// 5.2): 28 fields, every struct present that a server or a command looks into.
public struct NodeDescription: Hashable, Sendable {
  /// 36 characters.
  public var id: String
  public var secretID: String
  public var name: String
  public var datacenter: String
  public var nodeClass = ""
  /// Sent only when not empty: older servers do not know it.
  public var nodePool = ""
  /// `ip:port`
  public var httpAddress: String
  public var isTLSEnabled = false
  /// Must not be empty; `kernel.name`, `nomad.version`, `unique.hostname`, `cpu.arch`, ... in the order to be sent.
  public var attributes: [NodeAttribute] = []
  public var links: [NodeAttribute] = []
  public var meta: [NodeAttribute] = []
  /// MHz of all cores.
  public var cpuShares: Int64 = 0
  public var cores: UInt16 = 0
  public var memoryMB: Int64 = 0
  public var diskMB: Int64 = 0
  /// `initializing` or `ready`
  public var status = "initializing"

  public init(id: String, secretID: String, name: String, datacenter: String, httpAddress: String) {
    self.id = id
    self.secretID = secretID
    self.name = name
    self.datacenter = datacenter
    self.httpAddress = httpAddress
  }

  /// Appends the node's map, keys sorted.
  public func encode(into bytes: inout [UInt8]) {
    bytes.packMapHeader(28 + (nodePool.isEmpty ? 0 : 1))
    bytes.pack("Attributes")
    Self.encode(attributes, into: &bytes)
    bytes.packNil("CSIControllerPlugins")
    bytes.packNil("CSINodePlugins")
    bytes.pack("ComputedClass")
    bytes.pack("")
    bytes.pack("CreateIndex")
    bytes.pack(unsigned: 0)
    bytes.pack("Datacenter")
    bytes.pack(datacenter)
    bytes.packNil("DrainStrategy")
    bytes.packNil("Drivers")
    bytes.packNil("Events")
    bytes.pack("HTTPAddr")
    bytes.pack(httpAddress)
    bytes.packNil("HostVolumes")
    bytes.pack("ID")
    bytes.pack(id)
    bytes.packNil("LastDrain")
    bytes.pack("Links")
    Self.encode(links, into: &bytes)
    bytes.pack("Meta")
    if meta.isEmpty { bytes.packMapHeader(0) } else { Self.encode(meta, into: &bytes) }
    bytes.pack("ModifyIndex")
    bytes.pack(unsigned: 0)
    bytes.pack("Name")
    bytes.pack(name)
    bytes.pack("NodeClass")
    bytes.pack(nodeClass)
    if !nodePool.isEmpty {
      bytes.pack("NodePool")
      bytes.pack(nodePool)
    }
    encodeResources(into: &bytes)
    encodeReserved(into: &bytes)
    bytes.packNil("Resources")
    bytes.pack("SchedulingEligibility")
    bytes.pack("eligible")
    bytes.pack("SecretID")
    bytes.pack(secretID)
    bytes.pack("Status")
    bytes.pack(status)
    bytes.pack("StatusDescription")
    bytes.pack("")
    bytes.pack("StatusUpdatedAt")
    bytes.pack(signed: 0)
    bytes.pack("TLSEnabled")
    bytes.pack(isTLSEnabled)
  }

  /// Appends a complete `Node.Register` request.
  public func encodeRegister(_ write: WriteRequest, into bytes: inout [UInt8]) {
    bytes.packMapHeader(2 + 4)
    bytes.pack("AuthToken")
    bytes.pack(write.authToken)
    bytes.pack("Forwarded")
    bytes.pack(write.forwarded)
    bytes.pack("Namespace")
    bytes.pack(write.namespace)
    bytes.pack("Node")
    encode(into: &bytes)
    bytes.packNil("NodeEvent")
    bytes.pack("Region")
    bytes.pack(write.region)
  }

  private func encodeResources(into bytes: inout [UInt8]) {
    bytes.pack("NodeResources")
    bytes.packMapHeader(6)
    bytes.pack("Cpu")
    bytes.packMapHeader(3)
    bytes.pack("CpuShares")
    bytes.pack(signed: cpuShares)
    bytes.pack("ReservableCpuCores")
    bytes.packArrayHeader(Int(cores))
    for core in 0..<cores { bytes.pack(unsigned: UInt64(core)) }
    bytes.pack("TotalCpuCores")
    bytes.pack(unsigned: UInt64(cores))
    bytes.packNil("Devices")
    bytes.pack("Disk")
    bytes.packMapHeader(1)
    bytes.pack("DiskMB")
    bytes.pack(signed: diskMB)
    bytes.pack("Memory")
    bytes.packMapHeader(1)
    bytes.pack("MemoryMB")
    bytes.pack(signed: memoryMB)
    bytes.packNil("Networks")
    bytes.packNil("NodeNetworks")
  }

  /// Nothing is reserved.
  private func encodeReserved(into bytes: inout [UInt8]) {
    bytes.packNil("Reserved")
    bytes.pack("ReservedResources")
    bytes.packMapHeader(4)
    bytes.pack("Cpu")
    bytes.packMapHeader(2)
    bytes.pack("CpuShares")
    bytes.pack(signed: 0)
    bytes.packNil("ReservedCpuCores")
    bytes.pack("Disk")
    bytes.packMapHeader(1)
    bytes.pack("DiskMB")
    bytes.pack(signed: 0)
    bytes.pack("Memory")
    bytes.packMapHeader(1)
    bytes.pack("MemoryMB")
    bytes.pack(signed: 0)
    bytes.pack("Networks")
    bytes.packMapHeader(1)
    bytes.pack("ReservedHostPorts")
    bytes.pack("")
  }

  private static func encode(_ attributes: [NodeAttribute], into bytes: inout [UInt8]) {
    guard !attributes.isEmpty else { return bytes.packNil() }
    bytes.packMapHeader(attributes.count)
    for attribute in attributes {
      bytes.pack(attribute.name)
      bytes.pack(attribute.value)
    }
  }
}

extension [UInt8] {
  fileprivate mutating func packNil(_ key: String) {
    pack(key)
    packNil()
  }
}
