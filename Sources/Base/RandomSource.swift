/// The agent's only source of randomness: xoshiro256**, seeded once, passed `inout` to the machines.
///
/// Seeded by the shell from the operating system, by a simulation from the scenario's seed. Not for secrets: key
/// material comes from the operating system.
public struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  /// Expands the seed with SplitMix64, as the authors of xoshiro recommend; every seed is good, zero included.
  public init(seed: UInt64) {
    var x = seed
    func split() -> UInt64 {
      x &+= 0x9E37_79B9_7F4A_7C15
      var z = x
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    state = (split(), split(), split(), split())
  }

  public mutating func next() -> UInt64 {
    func rotateLeft(_ v: UInt64, _ k: UInt64) -> UInt64 { (v << k) | (v >> (64 - k)) }
    let result = rotateLeft(state.1 &* 5, 7) &* 9
    let t = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= t
    state.3 = rotateLeft(state.3, 45)
    return result
  }

  /// Uniform in `0 ..< bound`; 0 when `bound` is not positive.
  public mutating func below(_ bound: Int) -> Int {
    guard bound > 0 else { return 0 }
    return Int(next(upperBound: UInt64(bound)))
  }

  /// Uniform in `0 ..< 1`, 53 bits.
  public mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// True with the given probability.
  public mutating func chance(_ probability: Double) -> Bool { fraction() < probability }

  /// Uniform in `low ..< high`; `low` when the range is empty.
  public mutating func interval(_ low: Interval, _ high: Interval) -> Interval {
    guard high > low else { return low }
    return Interval(nanoseconds: low.nanoseconds + Int64(next(upperBound: UInt64((high - low).nanoseconds))))
  }

  /// A random (version 4) UUID in lower-case text form.
  public mutating func uuid() -> String {
    let a = (next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000
    let b = (next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    var text = ""
    text.reserveCapacity(36)
    for position in 0..<32 {
      if position == 8 || position == 12 || position == 16 || position == 20 { text.append("-") }
      let word = position < 16 ? a : b
      let nibble = Int((word >> UInt64(60 - 4 * (position & 15))) & 15)
      text.append(Self.digits[nibble])
    }
    return text
  }

  private static let digits: [Character] = Array("0123456789abcdef")
}
