import API
import Base
import Configuration
import Telemetry

/// SIGHUP and `/v1/agent/reload`.
extension AgentShell {
  /// Reading the configuration holds the loop up for milliseconds; a storm of signals must not stop the agent.
  private static let reloadInterval = Interval.seconds(1)

  /// Opens the log file anew and takes over the log level; other settings take effect with a restart, and are said to.
  /// A configuration that is refused changes nothing; answers why.
  func reload() -> APIFailure? {
    reopenLog()
    reloadDue = nil
    defer { reloadAllowedNext = loop.now + Self.reloadInterval }
    switch reread() {
    case .printAndExit(let text, _):
      effects.log.log(.error, "agent", "the configuration was not reloaded", ["error": text])
      return APIFailure("the configuration was not reloaded: \(text)", status: 500)
    case .run(let fresh, let warnings):
      for warning in warnings { effects.log.log(.warn, "agent", warning) }
      let former = configuration.log.levelText
      configuration.log.level = fresh.log.level
      configuration.log.levelText = fresh.log.levelText
      updateLogLevel()
      if former != configuration.log.levelText {
        effects.log.log(
          .info, "agent", "log level changed", ["from": former, "to": configuration.log.levelText])
      }
      if fresh != configuration {
        effects.log.log(.warn, "agent", "settings other than log_level have changed; they take effect with a restart")
      }
      return nil
    }
  }

  func reopenLog() {
    do throws(LogFileError) { try printer.reopen() } catch {
      effects.log.log(.error, "agent", "cannot reopen the log file", ["error": "\(error)"])
    }
  }
}
