#ifndef NOMADD_CBENCH_H
#define NOMADD_CBENCH_H

#include <stdint.h>

/// What a closed loop of pings has measured.
typedef struct {
  /// Answers.
  uint64_t answers;
  /// Requests that were sent again because no answer came in time.
  uint64_t lost;
  /// Time of the measurement, in nanoseconds.
  uint64_t elapsed;
  /// Round trip times in nanoseconds: median, 99th percentile.
  uint64_t median;
  uint64_t p99;
  /// Bytes of the last answer.
  uint32_t answer_bytes;
} cbench_result;

/// The yardstick: libuv's own UDP, every datagram sent back as it came. Returns only on failure, with libuv's code.
int cbench_echo(const char *host, uint16_t port);

/// Keeps `outstanding` memberlist pings (at most 256) on their way to `host`, for `seconds`. 0 or a negated errno.
int cbench_ping(const char *host, uint16_t port, unsigned outstanding, double seconds, cbench_result *result);

#endif
