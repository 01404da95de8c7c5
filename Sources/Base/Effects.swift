/// Everything a machine may cause in one call. Owned by the shell, passed `inout`, drained after the outermost call.
///
/// Network actions go to `outbox`, lines for people to `log`; `random` is the agent's only randomness. Effects that
/// only one machine knows (a disk write, an RPC answer) are in that machine's own directives.
public struct Effects: Sendable {
  public var outbox = Outbox()
  public var log: LogSink
  public var random: RandomSource

  public init(seed: UInt64, minimumLogLevel: LogLevel = .info) {
    random = RandomSource(seed: seed)
    log = LogSink(minimum: minimumLogLevel)
  }
}
