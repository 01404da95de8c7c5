import Base

/// The process's numbers: counters, gauges and samples, by name, in the words of the metrics Nomad publishes
/// (`nomad.raft.apply`). A metric is registered once and then updated by its index, which costs an array access.
///
/// Owned by the shell and used on the loop's thread only.
public struct Metrics: Sendable {
  /// Names a registered metric; valid for the `Metrics` that made it.
  public struct ID: Hashable, Sendable {
    fileprivate let index: Int
  }

  public struct Label: Hashable, Sendable {
    public let key: String
    public let value: String

    public init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  public enum Value: Hashable, Sendable {
    /// Only grows.
    case counter(Double)
    case gauge(Double)
    case sample(Summary)
  }

  public struct Entry: Hashable, Sendable {
    /// Dotted.
    public let name: String
    public let labels: [Label]
    public var value: Value
  }

  /// More metrics than this are a bug of ours (a label that takes values from peers); they share the last place.
  public static let maximumEntries = 2048

  /// In order of registration.
  public private(set) var entries: [Entry] = []
  private var index: [Key: Int] = [:]

  private struct Key: Hashable, Sendable {
    let name: String
    let labels: [Label]
  }

  public init() {}

  public mutating func counter(_ name: String, _ labels: [Label] = []) -> ID { register(name, labels, .counter(0)) }
  public mutating func gauge(_ name: String, _ labels: [Label] = []) -> ID { register(name, labels, .gauge(0)) }
  public mutating func sample(_ name: String, _ labels: [Label] = []) -> ID {
    register(name, labels, .sample(Summary()))
  }

  public mutating func add(_ amount: Double = 1, to id: ID) {
    guard case .counter(let value) = entries[id.index].value else { return }
    entries[id.index].value = .counter(value + max(0, amount))
  }

  /// For a counter that is kept elsewhere and only published here.
  public mutating func set(_ id: ID, to value: Double) {
    switch entries[id.index].value {
    case .counter: entries[id.index].value = .counter(value)
    case .gauge: entries[id.index].value = .gauge(value)
    case .sample: record(value, in: id)
    }
  }

  public mutating func record(_ value: Double, in id: ID) {
    guard case .sample(var summary) = entries[id.index].value else { return }
    summary.add(value)
    entries[id.index].value = .sample(summary)
  }

  /// In milliseconds, the unit of Nomad's timers.
  public mutating func record(_ interval: Interval, in id: ID) { record(interval.milliseconds, in: id) }

  /// Registering a name again returns the first id; the kind of a metric never changes.
  private mutating func register(_ name: String, _ labels: [Label], _ value: Value) -> ID {
    let key = Key(name: name, labels: labels)
    if let known = index[key] { return ID(index: known) }
    guard entries.count < Self.maximumEntries else { return ID(index: entries.count - 1) }
    entries.append(Entry(name: name, labels: labels, value: value))
    index[key] = entries.count - 1
    return ID(index: entries.count - 1)
  }
}

/// What is kept of a series of measurements: enough for mean and deviation, in constant space.
public struct Summary: Hashable, Sendable {
  public private(set) var count = 0
  public private(set) var sum = 0.0
  public private(set) var minimum = 0.0
  public private(set) var maximum = 0.0
  /// Sum of squared distances from the mean (Welford's method, which does not cancel).
  private var squares = 0.0
  public private(set) var mean = 0.0

  public init() {}

  /// Values that are not finite are ignored.
  public mutating func add(_ value: Double) {
    guard value.isFinite else { return }
    minimum = count == 0 ? value : Swift.min(minimum, value)
    maximum = count == 0 ? value : Swift.max(maximum, value)
    count += 1
    sum += value
    let distance = value - mean
    mean += distance / Double(count)
    squares += distance * (value - mean)
  }

  /// Of the sample; 0 for fewer than two values.
  public var standardDeviation: Double { count < 2 ? 0 : (squares / Double(count - 1)).squareRoot() }
}
