import Base

/// The loops of a member. memberlist runs each in a thread of its own, so one that hangs does not stop the others.
public struct GossipActivities: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let probing = GossipActivities(rawValue: 1)
  public static let gossiping = GossipActivities(rawValue: 2)
  public static let exchanging = GossipActivities(rawValue: 4)
  public static let all: GossipActivities = [.probing, .gossiping, .exchanging]
}

extension GossipMachine {
  /// Gossip ticks before `now` pass without a wake-up; the phase stays. For simulations that count every tick as
  /// memberlist does. Precondition: nothing waited to be gossiped at those ticks.
  public mutating func passGossipTicks(until now: Instant) {
    guard nextGossip < now else { return }
    let interval = configuration.gossipInterval.nanoseconds
    nextGossip += .nanoseconds(((now - nextGossip).nanoseconds + interval - 1) / interval * interval)
  }
}
