import HTTP

/// The pieces of the endless answers: log lines and events. Send them with `HTTPMachine.stream`, one frame at a time.
extension APIMachine {
  /// Headers to begin `GET /v1/agent/monitor` with.
  public func headers(for monitor: APIMonitor) -> [HTTPHeader] {
    [
      HTTPHeader("Content-Type", monitor.isPlain ? "text/plain" : "application/json"),
      HTTPHeader("Vary", "Accept-Encoding"),
    ] + settings.responseHeaders
  }

  /// Headers to begin `GET /v1/event/stream` with.
  public func headers(for stream: APIEventStream) -> [HTTPHeader] {
    [
      HTTPHeader("Content-Type", "application/json"), HTTPHeader("Cache-Control", "no-cache"),
      HTTPHeader("Vary", "Accept-Encoding"),
    ] + settings.responseHeaders
  }

  /// The frame both streams begin with; it also keeps them alive (every 30 s for events). Nothing for plain logs.
  public static func heartbeat(for monitor: APIMonitor) -> [UInt8] { monitor.isPlain ? [] : Array("{}".utf8) }

  /// Event streams separate their frames with newlines.
  public static let eventHeartbeat = Array("{}\n".utf8)

  /// Finished log lines, each with its newline, as one frame.
  public static func frame(of lines: [UInt8], for monitor: APIMonitor) -> [UInt8] {
    if monitor.isPlain { return lines }
    var writer = JSONWriter()
    writer.beginObject()
    writer.name("Data" as StaticString)
    writer.write(Base64.encode(lines.borrowedBytes))
    writer.name("FileEvent" as StaticString)
    writer.write("log")
    writer.endObject()
    return writer.finish()
  }
}
