import Base
import Wire

/// The configurations in the log that may still matter: the newest committed one and every later one.
///
/// A configuration counts from the moment its entry is appended; a truncated entry takes it back.
struct ConfigurationHistory {
  struct Item: Hashable {
    var index: LogIndex
    var configuration: RaftConfiguration
  }

  /// Ascending by index, never empty; the first may be the empty configuration at index 0.
  private(set) var items: [Item]

  init(_ base: RaftConfiguration = RaftConfiguration(), at index: LogIndex = 0) {
    items = [Item(index: index, configuration: base)]
  }

  var latest: RaftConfiguration { items[items.count - 1].configuration }
  var latestIndex: LogIndex { items[items.count - 1].index }

  func item(at index: LogIndex) -> Item { items.last { $0.index <= index } ?? items[0] }

  /// Precondition: `index` is after the latest one.
  mutating func append(_ configuration: RaftConfiguration, at index: LogIndex) {
    precondition(index > latestIndex || items.count == 1)
    items.append(Item(index: index, configuration: configuration))
  }

  /// Takes back what was appended at `index` or later.
  mutating func truncate(from index: LogIndex) {
    while items.count > 1, let last = items.last, last.index >= index { items.removeLast() }
  }

  /// Forgets what is older than the newest configuration at or before `index`.
  mutating func compact(through index: LogIndex) {
    while items.count > 1, items[1].index <= index { items.removeFirst() }
  }
}
