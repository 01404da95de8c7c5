import ArgumentParser
import Base

/// A length of time on the command line: `250us`, `3ms`, `1.5s`, `2m`.
struct DurationArgument: ExpressibleByArgument, CustomStringConvertible {
  var interval: Interval

  init(_ interval: Interval) { self.interval = interval }

  init?(argument: String) {
    let digits = argument.prefix { $0.isNumber || $0 == "." }
    guard let number = Double(digits), number >= 0 else { return nil }
    let scale: Double
    switch argument.dropFirst(digits.count) {
    case "us": scale = 1e-6
    case "ms": scale = 1e-3
    case "s": scale = 1
    case "m": scale = 60
    default: return nil
    }
    interval = .seconds(fraction: number * scale)
  }

  var description: String {
    interval < .seconds(1)
      ? "\(decimal(interval.milliseconds, places: 3))ms" : "\(decimal(interval.seconds, places: 3))s"
  }

  var defaultValueDescription: String { description }
}

/// Fixed-point text, rounded half away from zero; with more than one place, trailing zeros are left out.
func decimal(_ value: Double, places: Int) -> String {
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = Int64((value.magnitude * scale).rounded())
  let whole = scaled / Int64(scale)
  var fraction = String(scaled % Int64(scale))
  fraction = String(repeating: "0", count: max(0, places - fraction.count)) + fraction
  while places > 1, fraction.hasSuffix("0") { fraction.removeLast() }
  let sign = value < 0 && scaled != 0 ? "-" : ""
  return places == 0 || fraction.isEmpty ? "\(sign)\(whole)" : "\(sign)\(whole).\(fraction)"
}
