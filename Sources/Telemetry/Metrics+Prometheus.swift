import Base

extension Metrics {
  /// The metrics in Prometheus' text format (version 0.0.4), sorted by name, so that equal states give equal texts.
  public func prometheusText() -> String {
    var text = ""
    var previous = ""
    for entry in entries.sorted(by: { ($0.name, $0.labels.text) < ($1.name, $1.labels.text) }) {
      let name = Self.prometheusName(entry.name)
      if name != previous {
        text += "# TYPE \(name) \(entry.value.prometheusType)\n"
        previous = name
      }
      let labels = entry.labels.isEmpty ? "" : "{\(entry.labels.text)}"
      switch entry.value {
      case .counter(let value), .gauge(let value): text += "\(name)\(labels) \(Self.number(value))\n"
      case .sample(let summary):
        text += "\(name)_sum\(labels) \(Self.number(summary.sum))\n\(name)_count\(labels) \(summary.count)\n"
      }
    }
    return text
  }

  /// Letters, digits and underscores; everything else becomes an underscore.
  static func prometheusName(_ name: String) -> String {
    let text = String(
      name.unicodeScalars.map { scalar in
        scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)) ? Character(scalar) : "_"
      })
    return text.first?.isNumber == true ? "_" + text : text
  }

  /// Whole numbers without a fraction, as Prometheus' own clients write them.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf" }
    return value == value.rounded() && value.magnitude < 1e15 ? String(Int64(value)) : String(value)
  }
}

extension [Metrics.Label] {
  /// `key="value",...` in the order given.
  fileprivate var text: String {
    map { label in
      var value = ""
      for character in label.value {
        switch character {
        case "\\": value += "\\\\"
        case "\"": value += "\\\""
        case _ where character.isNewline: value += "\\n"
        default: value.append(character)
        }
      }
      return "\(Metrics.prometheusName(label.key))=\"\(value)\""
    }.joined(separator: ",")
  }
}

extension Metrics.Value {
  fileprivate var prometheusType: String {
    switch self {
    case .counter: "counter"
    case .gauge: "gauge"
    case .sample: "summary"
    }
  }
}
