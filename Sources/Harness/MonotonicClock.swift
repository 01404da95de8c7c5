import Base
import Glibc

/// The clock of a program that watches agents from outside. Agents have their own; the two are never compared.
public enum MonotonicClock {
  /// The current instant of `CLOCK_MONOTONIC`.
  public static func now() -> Instant {
    var time = timespec()
    // Cannot fail: the clock exists on every Linux and the pointer is valid.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}
