import API
import Archive
import Base
import Client
import HTTP
import Raft
import RPC
import Server
import State
import Wire

/// An answer over HTTP that comes out of a streaming RPC.
struct HTTPStream {
  enum Kind {
    case save
    case restore
    case monitor(APIMonitor, hasBegun: Bool)
  }

  /// Which machine carries it.
  enum Source: Hashable {
    case server(LocalStreamID)
    case client(ForwardID)
  }

  let request: HTTPRequestID
  let context: APIContext
  var kind: Kind
  /// Arrived and not used.
  var bytes: [UInt8] = []

  /// A snapshot is held whole, so that nothing unchecked is passed on.
  static let maximumBytes = 300 << 20
}

/// Snapshots and logs over HTTP, by streaming RPCs to whoever answers them.
extension AgentShell {
  /// A reader of the log that lets this much wait loses lines.
  static let maximumMonitorBacklog = 1 << 20

  func saveSnapshot(region: String, allowStale: Bool, token: String, _ id: HTTPRequestID, _ context: APIContext) {
    var options = QueryOptions(region: region, allowStale: allowStale)
    options.authToken = token
    var request: [UInt8] = []
    options.encode(into: &request)
    open(.operatorSnapshotSave, request, [], HTTPStream(request: id, context: context, kind: .save))
  }

  func restoreSnapshot(
    _ archive: [UInt8], region: String, token: String, _ id: HTTPRequestID, _ context: APIContext
  ) {
    var options = WriteRequest(region: region)
    options.authToken = token
    var request: [UInt8] = []
    options.encode(into: &request)
    var input: [UInt8] = []
    StreamPiece.encode(whole: archive, into: &input)
    open(.operatorSnapshotRestore, request, input, HTTPStream(request: id, context: context, kind: .restore))
  }

  func monitor(_ monitor: APIMonitor, _ id: HTTPRequestID, _ context: APIContext) {
    let isOwnNode = !monitor.nodeID.isEmpty && monitor.nodeID == client?.persisted.nodeID
    if isOwnNode || (monitor.nodeID.isEmpty && monitor.serverID.isEmpty) {
      http.beginStreaming(id, status: 200, headers: api.headers(for: monitor), at: loop.now, effects: &effects)
      return follow(.http(id), monitor)
    }
    var request = MonitorRequest()
    request.logLevel = monitor.level.name
    request.isJSON = monitor.isJSON
    request.isPlain = monitor.isPlain
    request.nodeID = monitor.nodeID
    request.serverID = monitor.serverID
    request.options.region = configuration.region
    var bytes: [UInt8] = []
    request.encode(into: &bytes)
    open(
      .agentMonitor, bytes, [],
      HTTPStream(request: id, context: context, kind: .monitor(monitor, hasBegun: false)))
  }

  private func open(_ method: RPCMethod, _ request: [UInt8], _ input: [UInt8], _ stream: HTTPStream) {
    if server != nil {
      let id = LocalStreamID(number: nextCall)
      nextCall += 1
      httpAnswers[.server(id)] = stream
      server?.openStream(id, method, request: request, input: input, at: loop.moment, effects: &effects)
    } else if let id = client?.openStream(
      method, request: request, input: input, at: loop.now, effects: &effects)
    {
      httpAnswers[.client(id)] = stream
    }
  }

  /// The HTTP client has gone.
  func abandonStreams(of request: HTTPRequestID) {
    followers.removeAll { $0.target == .http(request) }
    updateLogLevel()
    for (source, stream) in httpAnswers where stream.request == request { close(source) }
  }

  private func close(_ source: HTTPStream.Source) {
    httpAnswers[source] = nil
    switch source {
    case .server(let id): server?.closeStream(id, at: loop.moment, effects: &effects)
    case .client(let id): client?.closeStream(id, at: loop.now, effects: &effects)
    }
  }

  // MARK: What comes back

  func received(_ source: HTTPStream.Source, _ bytes: [UInt8]) {
    guard var stream = httpAnswers.removeValue(forKey: source) else { return }
    stream.bytes.append(contentsOf: bytes)
    if case .monitor(let monitor, _) = stream.kind { passOn(&stream, monitor) }
    guard stream.bytes.count <= HTTPStream.maximumBytes else {
      close(source)
      return respond(stream.request, stream.context, .failure(APIFailure("the answer is too large")))
    }
    httpAnswers[source] = stream
  }

  func ended(_ source: HTTPStream.Source, _ text: String?) {
    guard let stream = httpAnswers.removeValue(forKey: source) else { return }
    switch stream.kind {
    case .monitor(_, hasBegun: true): http.endStreaming(stream.request, at: loop.now, effects: &effects)
    case .monitor(_, hasBegun: false), .save, .restore:
      if let text { return respond(stream.request, stream.context, .failure(APIFailure(text))) }
      respond(stream.request, stream.context, Self.answer(stream))
    }
  }

  private static func answer(_ stream: HTTPStream) -> APIAnswer {
    var reader = MessagePackReader(stream.bytes.bytes)
    do throws(WireError) {
      let reply = try SnapshotReply(&reader)
      guard reply.errorText.isEmpty else {
        let code = (400...599).contains(reply.errorCode) ? Int(reply.errorCode) : 500
        return .failure(APIFailure(reply.errorText, status: code))
      }
      guard case .save = stream.kind else { return .done }
      let archive = Array(stream.bytes[reader.offset...])
      do throws(SnapshotArchive.Failure) {
        guard try SnapshotArchive.digest(of: archive) == reply.checksum else {
          return .failure(APIFailure("the snapshot arrived incomplete or damaged; try again"))
        }
      } catch {
        return .failure(APIFailure(error.text))
      }
      return .snapshot(archive, digest: String(reply.checksum.dropFirst("sha-256=".count)))
    } catch {
      return .failure(APIFailure("rpc error: EOF"))
    }
  }

  /// Gives the pieces of a log on, as they were made by the agent that is followed.
  private func passOn(_ stream: inout HTTPStream, _ monitor: APIMonitor) {
    var offset = 0
    while offset < stream.bytes.count {
      var reader = MessagePackReader(stream.bytes.bytes, at: offset)
      guard let piece = try? StreamPiece(&reader) else { break }
      offset = reader.offset
      if case .monitor(_, hasBegun: false) = stream.kind {
        if let error = piece.error {
          stream.kind = .restore
          stream.bytes = []
          let status = error.code == 400 ? 400 : 500
          respond(stream.request, stream.context, .failure(APIFailure(error.text, status: status)))
          return
        }
        http.beginStreaming(
          stream.request, status: 200, headers: api.headers(for: monitor), at: loop.now, effects: &effects)
        stream.kind = .monitor(monitor, hasBegun: true)
      }
      if network.queuedBytes(of: stream.request.connection) < Self.maximumMonitorBacklog {
        http.stream(stream.request, piece.payload, at: loop.now, effects: &effects)
      }
    }
    stream.bytes.removeFirst(offset)
  }

  // MARK: Archives

  func encode(_ state: StateStore, at index: LogIndex) {
    loop.submitWork { () -> [UInt8] in
      state.encodedSnapshot()
    } completion: { [unowned self] bytes in
      server?.stateEncoded(bytes, at: index, now: loop.moment, effects: &effects)
    }
  }

  func pack(_ job: SnapshotJob, _ metadata: SnapshotMetadata, _ state: StateStore) {
    let wall = loop.wall.unixNanoseconds
    loop.submitWork { () -> Result<PackedSnapshot, RPCErrorMessage> in
      Self.pack(metadata, state, at: wall)
    } completion: { [unowned self] result in
      server?.snapshotPacked(job, result, at: loop.moment, effects: &effects)
    }
  }

  private static func pack(
    _ metadata: SnapshotMetadata, _ state: StateStore, at wall: Int64
  ) -> Result<PackedSnapshot, RPCErrorMessage> {
    let bytes = state.encodedSnapshot()
    let description = SnapshotArchiveMetadata(
      index: metadata.index, term: metadata.term, configuration: metadata.configuration,
      configurationIndex: metadata.configurationIndex, size: bytes.count, unixMilliseconds: wall / 1_000_000)
    do throws(SnapshotArchive.Failure) {
      let archive = try SnapshotArchive(metadata: description, state: bytes).encoded(unixSeconds: wall / 1_000_000_000)
      return .success(PackedSnapshot(archive: archive, digest: try SnapshotArchive.digest(of: archive)))
    } catch {
      return .failure(RPCErrorMessage(error.text))
    }
  }

  func unpack(_ job: SnapshotJob, _ archive: [UInt8]) {
    loop.submitWork { () -> Result<UnpackedSnapshot, RPCErrorMessage> in
      Self.unpack(archive)
    } completion: { [unowned self] result in
      server?.snapshotUnpacked(job, result, at: loop.moment, effects: &effects)
    }
  }

  /// Everything that can be wrong with an archive is found here, before anything is touched.
  private static func unpack(_ bytes: [UInt8]) -> Result<UnpackedSnapshot, RPCErrorMessage> {
    let archive: SnapshotArchive
    do throws(SnapshotArchive.Failure) { archive = try SnapshotArchive(decoding: bytes) } catch {
      return .failure(RPCErrorMessage(error.text))
    }
    do throws(SnapshotError) {
      _ = try StateStore(snapshot: archive.state.bytes, index: archive.metadata.index.value)
    } catch {
      return .failure(RPCErrorMessage("failed to read snapshot file: state.bin cannot be decoded (\(error))"))
    }
    return .success(UnpackedSnapshot(state: archive.state, index: archive.metadata.index))
  }
}
