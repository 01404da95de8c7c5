import Base
import HTTP

/// `nomad node status` (cli.md section 4).
enum NodeStatusCommand {
  static func make(words: [String], isHidden: Bool = false) -> Command {
    Command(
      words: words, synopsis: "Display status information about nodes", usage: "[options] <node>",
      help: "Lists the client nodes, or shows one that is named by the beginning of its id.",
      options: [
        .init("self", help: "Show the node of the agent that is asked."),
        .init("short", help: "Show less of one node."),
        .init("verbose", help: "Show full ids and everything known."),
        .init("stats", help: "Show detailed resource statistics."),
        .init("allocs", help: "Show the number of running allocations in the list."),
        .init("quiet", help: "Print ids only."),
        .init("filter", .string, "<expression>", "Show only nodes for which the expression holds."),
        .init("json", help: "Print the node or nodes as JSON."),
      ], isHidden: isHidden, canonicalName: "node-status", run: run)
  }

  static let shortID = 8

  private static func run(_ call: inout Invocation) -> Int32 {
    guard call.arguments.count <= 1 else {
      return call.misuse("This command takes either one or no arguments")
    }
    guard let client = call.client() else { return 1 }
    let length = call.flags.bool("verbose") ? 36 : shortID
    if call.flags.bool("self") {
      guard case .found(let id) = NodeLookup.own(client, call, failure: "Error querying agent info") else { return 1 }
      return show(id, client, call)
    }
    guard let prefix = call.arguments.first else { return list(client, call, length: length) }
    let found = NodeLookup.find(
      prefix, noun: "prefix", length: length, failure: "Error querying node info", client, call)
    guard case .found(let id) = found else { return 1 }
    return show(id, client, call)
  }

  // MARK: List

  private static func list(_ client: APIClient, _ call: Invocation, length: Int) -> Int32 {
    let nodes: [JSONValue]
    do throws(ClientError) {
      let filter = call.flags.string("filter").map { [("filter", $0)] } ?? []
      nodes = try client.get("/v1/nodes", filter).array ?? []
    } catch {
      return call.fail("Error querying node status: \(error.text)")
    }
    if call.wantsData {
      return call.printData(.array(nodes))
    }
    // 1.1.2 prints nothing at all.
    guard !nodes.isEmpty else { return 0 }
    if call.flags.bool("quiet") {
      for node in nodes { call.console.print(String(node.text("ID").prefix(length))) }
      return 0
    }
    var rows = NodeLookup.rows(nodes, idLength: length, verbose: call.flags.bool("verbose"))
    if call.flags.bool("allocs") {
      rows[0].append("Running Allocs")
      for (index, node) in nodes.enumerated() {
        do throws(ClientError) {
          rows[index + 1].append("\(try running(node.text("ID"), client))")
        } catch {
          return call.fail("Error querying node allocations: \(error.text)")
        }
      }
    }
    call.console.print(table(rows))
    return 0
  }

  private static func running(_ id: String, _ client: APIClient) throws(ClientError) -> Int {
    let allocations = try client.get("/v1/node/\(id.percentEncoded())/allocations").array ?? []
    return allocations.filter { $0.text("ClientStatus") == "running" }.count
  }

  // MARK: One node

  private static func show(_ id: String, _ client: APIClient, _ call: Invocation) -> Int32 {
    let node: JSONValue
    do throws(ClientError) {
      node = try client.get("/v1/node/\(id.percentEncoded())")
    } catch {
      return call.fail("Error querying node info: \(error.text)")
    }
    if call.wantsData {
      return call.printData(node)
    }
    let isVerbose = call.flags.bool("verbose")
    var pairs = basics(node)
    if call.flags.bool("short") {
      pairs.append(("Drivers", attributeDrivers(node).joined(separator: ",")))
      call.console.print(keyValues(pairs))
      return allocations(node, client, call)
    }
    var stats: JSONValue?
    do throws(ClientError) {
      stats = try client.get("/v1/client/stats", [("node_id", node.text("ID"))])
    } catch {
      call.console.print("")
      call.console.error("error fetching node stats: \(error.text)")
    }
    if let uptime = stats?["Uptime"]?.integer {
      pairs.append(("Uptime", GoDuration.text(.seconds(uptime))))
    }
    if !isVerbose {
      pairs.append(("Host Volumes", node.members("HostVolumes").map(\.name).joined(separator: ",")))
      pairs.append(("CSI Volumes", ""))
      pairs.append(("Driver Status", driverStatus(node)))
    }
    call.console.print(keyValues(pairs))
    if isVerbose { driverTable(node, call) }
    events(node, call, isVerbose: isVerbose)
    resources(node, stats, call)
    if call.flags.bool("stats"), let stats { statistics(stats, call) }
    let code = allocations(node, client, call)
    if isVerbose {
      section("Attributes", node.members("Attributes"), call)
      section("Meta", node.members("Meta"), call)
    }
    return code
  }

  private static func basics(_ node: JSONValue) -> [(key: String, value: String)] {
    [
      ("ID", node.text("ID")), ("Name", node.text("Name")),
      ("Class", node.text("NodeClass")),
      ("DC", node.text("Datacenter")), ("Drain", drain(node)), ("Eligibility", node.text("SchedulingEligibility")),
      ("Status", node.text("Status")),
      ("CSI Controllers", node.members("CSIControllerPlugins").map(\.name).joined(separator: ",")),
      ("CSI Drivers", node.members("CSINodePlugins").map(\.name).joined(separator: ",")),
    ]
  }

  private static func drain(_ node: JSONValue) -> String {
    guard let strategy = node["DrainStrategy"], !strategy.isNull else { return "false" }
    let deadline = strategy["Deadline"]?.integer ?? 0
    var text = "true; "
    if deadline < 0 {
      text += "force drain"
    } else if let force = strategy["ForceDeadline"]?.string {
      text += (unixSeconds(force).map(localTime) ?? force) + " deadline"
    } else {
      text += "no deadline"
    }
    return strategy.flag("IgnoreSystemJobs") ? text + "; ignoring system jobs" : text
  }

  private static func attributeDrivers(_ node: JSONValue) -> [String] {
    node.members("Attributes").compactMap { attribute in
      let parts = attribute.name.split(separator: ".")
      guard parts.count == 2, parts[0] == "driver", attribute.value.string == "1" else { return nil }
      return String(parts[1])
    }
  }

  private static func driverStatus(_ node: JSONValue) -> String {
    node.members("Drivers").filter { $0.value.flag("Detected") }
      .map { $0.name + ($0.value.flag("Healthy") ? "" : " (unhealthy)") }.joined(separator: ",")
  }

  private static func driverTable(_ node: JSONValue, _ call: Invocation) {
    call.console.print("\nDrivers")
    call.console.print(
      table(
        [["Driver", "Detected", "Healthy", "Message", "Time"]]
          + node.members("Drivers").map { driver in
            [
              driver.name, "\(driver.value.flag("Detected"))", "\(driver.value.flag("Healthy"))",
              driver.value.text("HealthDescription"), time(driver.value.text("UpdateTime")),
            ]
          }))
  }

  private static func time(_ text: String) -> String { unixSeconds(text).map(localTime) ?? text }

  private static func events(_ node: JSONValue, _ call: Invocation, isVerbose: Bool) {
    call.console.print("\nNode Events")
    let header = ["Time", "Subsystem", "Message"] + (isVerbose ? ["Details"] : [])
    let rows = node.rows("Events").reversed().map { event in
      [time(event.text("Timestamp")), event.text("Subsystem"), event.text("Message")]
        + (isVerbose
          ? [event.members("Details").map { "\($0.name) : \($0.value.string ?? "")" }.joined(separator: " ")] : [])
    }
    call.console.print(table([header] + rows))
  }

  private static func allocations(_ node: JSONValue, _ client: APIClient, _ call: Invocation) -> Int32 {
    do throws(ClientError) {
      let rows = try client.get("/v1/node/\(node.text("ID").percentEncoded())/allocations").array ?? []
      call.console.print("\nAllocations")
      guard !rows.isEmpty else {
        call.console.print("No allocations placed")
        return 0
      }
      call.console.print(
        table(
          [["ID", "Node ID", "Task Group", "Version", "Desired", "Status"]]
            + rows.map {
              [
                String($0.text("ID").prefix(shortID)), String($0.text("NodeID").prefix(shortID)),
                $0.text("TaskGroup"), $0["Job"]?.text("Version") ?? "", $0.text("DesiredStatus"),
                $0.text("ClientStatus"),
              ]
            }))
      return 0
    } catch {
      return call.fail("Error querying node allocations: \(error.text)")
    }
  }

  private static func section(_ title: String, _ members: [JSONObject.Member], _ call: Invocation) {
    call.console.print("\n\(title)")
    let pairs = members.map { (key: $0.name, value: $0.value.string ?? "") }
    if !pairs.isEmpty { call.console.print(keyValues(pairs)) }
  }

  // MARK: Resources

  private static func resources(_ node: JSONValue, _ stats: JSONValue?, _ call: Invocation) {
    func total(_ section: String, _ field: String) -> UInt64 {
      let have = node["NodeResources"]?[section]?[field]?.unsigned ?? 0
      let reserved = node["ReservedResources"]?[section]?[field]?.unsigned ?? 0
      return have >= reserved ? have - reserved : 0
    }
    let mebibyte: UInt64 = 1 << 20
    let cpu = total("Cpu", "CpuShares")
    let memory = binarySize(total("Memory", "MemoryMB").multipliedReportingOverflow(by: mebibyte).partialValue)
    let disk = binarySize(total("Disk", "DiskMB").multipliedReportingOverflow(by: mebibyte).partialValue)
    call.console.print("\nAllocated Resources")
    call.console.print(table([["CPU", "Memory", "Disk"], ["0/\(cpu) MHz", "0 B/\(memory)", "0 B/\(disk)"]]))
    guard let stats else { return }
    call.console.print("\nAllocation Resource Utilization")
    call.console.print(table([["CPU", "Memory"], ["0/\(cpu) MHz", "0 B/\(memory)"]]))
    call.console.print("\nHost Resource Utilization")
    let ticks = stats["CPUTicksConsumed"]?.number ?? 0
    let whole = node["NodeResources"]?["Cpu"]?["CpuShares"]?.unsigned ?? 0
    call.console.print(
      table([
        ["CPU", "Memory", "Disk"],
        [
          "\(ticks >= 0 && ticks < 1e15 ? Int64(ticks) : 0)/\(whole) MHz",
          size(stats["Memory"], "Used") + "/" + size(stats["Memory"], "Total"),
          size(stats["AllocDirStats"], "Used") + "/" + size(stats["AllocDirStats"], "Size"),
        ],
      ]))
  }

  private static func size(_ value: JSONValue?, _ name: String) -> String {
    binarySize(value?[name]?.unsigned ?? 0)
  }

  private static func statistics(_ stats: JSONValue, _ call: Invocation) {
    func percent(_ value: JSONValue, _ name: String) -> String {
      let hundredths = (value[name]?.number ?? 0) * 100
      guard hundredths >= 0, hundredths < 1e12 else { return "0.00%" }
      let whole = Int64(hundredths + 0.5)
      return "\(whole / 100).\(whole % 100 < 10 ? "0" : "")\(whole % 100)%"
    }
    call.console.print("\nCPU Stats")
    for core in stats.rows("CPU") {
      call.console.print(
        keyValues([
          ("CPU", core.text("CPU")), ("User", percent(core, "User")), ("System", percent(core, "System")),
          ("Idle", percent(core, "Idle")),
        ]))
    }
    call.console.print("\nMemory Stats")
    call.console.print(
      keyValues(["Total", "Available", "Used", "Free"].map { ($0, size(stats["Memory"], $0)) }))
    call.console.print("\nDisk Stats")
    for disk in stats.rows("DiskStats") {
      call.console.print(
        keyValues([
          ("Device", disk.text("Device")), ("MountPoint", disk.text("Mountpoint")), ("Size", size(disk, "Size")),
          ("Used", size(disk, "Used")), ("Available", size(disk, "Available")),
          ("Used Percent", percent(disk, "UsedPercent")), ("Inodes Percent", percent(disk, "InodesUsedPercent")),
        ]))
    }
  }
}
