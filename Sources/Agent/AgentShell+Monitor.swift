import API
import Base
import Client
import HTTP
import RPC
import Server
import Telemetry

/// Somebody who reads this agent's log as it is written.
struct LogFollower {
  enum Target: Hashable {
    case http(HTTPRequestID)
    case server(MonitorID)
    case client(StreamHandle)
  }

  let target: Target
  let form: APIMonitor
  var formatter: LogFormatter
  /// Next sign of life.
  var dueAt: Instant
  /// Lines that could not be given, told with the next that can.
  var lost = 0
}

extension AgentShell {
  static let monitorPeriod = Interval.seconds(1)
  static let maximumFollowers = 128

  func follow(_ target: LogFollower.Target, _ form: APIMonitor) {
    guard followers.count < Self.maximumFollowers else { return unfollow(target) }
    var follower = LogFollower(
      target: target, form: form, formatter: LogFormatter(form.isJSON ? .json : .text), dueAt: loop.now)
    _ = give(&follower, APIMachine.heartbeat(for: form))
    follower.dueAt = loop.now + Self.monitorPeriod
    followers.append(follower)
    updateLogLevel()
  }

  func follow(_ target: LogFollower.Target, level: LogLevel, json: Bool, plain: Bool) {
    follow(target, APIMonitor(level: level, isJSON: json, isPlain: plain))
  }

  func unfollow(_ target: LogFollower.Target) {
    followers.removeAll { $0.target == target }
    if case .http(let id) = target { http.endStreaming(id, at: loop.now, effects: &effects) }
    updateLogLevel()
  }

  /// Machines make the lines that anybody wants; the printer takes its own share of them.
  func updateLogLevel() {
    let own = configuration.log.level ?? .error
    effects.log.minimum = followers.reduce(own) { min($0, $1.form.level) }
  }

  /// Gives the lines of this turn to the followers, and signs of life where nothing was said for a while. True when
  /// there is something for the network to send.
  func feedFollowers() -> Bool {
    guard !followers.isEmpty else { return false }
    let lines = effects.log.lines
    let wall = loop.wall
    let now = loop.now
    var hasFed = false
    var all = followers
    for position in all.indices {
      var text: [UInt8] = []
      var count = 0
      for line in lines where line.level >= all[position].form.level {
        all[position].formatter.append(line, at: wall, to: &text)
        count += 1
      }
      if count > 0 {
        if give(&all[position], APIMachine.frame(of: text, for: all[position].form)) {
          all[position].lost = 0
        } else {
          all[position].lost += count
        }
      } else if all[position].dueAt <= now {
        _ = give(&all[position], APIMachine.heartbeat(for: all[position].form))
      } else {
        continue
      }
      all[position].dueAt = now + Self.monitorPeriod
      hasFed = true
    }
    followers = all
    return hasFed
  }

  /// When a follower wants a sign of life.
  var followersDeadline: Instant? { followers.map(\.dueAt).min() }

  private func give(_ follower: inout LogFollower, _ payload: [UInt8]) -> Bool {
    switch follower.target {
    case .http(let id):
      guard network.queuedBytes(of: id.connection) < Self.maximumMonitorBacklog else { return false }
      http.stream(id, payload, at: loop.now, effects: &effects)
      return true
    case .server(let id):
      return server?.monitored(id, payload, at: loop.moment, effects: &effects) ?? true
    case .client(let handle):
      return client?.monitored(handle, payload, at: loop.now, effects: &effects) ?? true
    }
  }
}
