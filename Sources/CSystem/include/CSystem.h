#ifndef NOMADD_CSYSTEM_H
#define NOMADD_CSYSTEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "CSystemLookup.h"

/// Shims for what Swift cannot call directly. Every function documents its unit, its error and its caller.
/// Unless said otherwise a negative result is a negated errno, the same number space as libuv's errors on Linux.

/// An IP address and port in host byte order. IPv4 lives in `low`.
typedef struct {
  uint64_t high;
  uint64_t low;
  uint32_t zone;
  uint16_t port;
  /// 4 or 6.
  uint8_t family;
} csystem_address;

/// One datagram taken by `csystem_receive_batch`; it starts at slab + index * slot_bytes.
typedef struct {
  csystem_address from;
  uint32_t length;
  /// Not 0 when the datagram was longer than its slot.
  uint32_t is_truncated;
} csystem_received;

/// One datagram for `csystem_send_batch`, with its own result.
typedef struct {
  csystem_address to;
  const void *bytes;
  uint32_t length;
  /// 0 when sent, else a negated errno; -EAGAIN when the socket was full, and for all datagrams after that one.
  int32_t error;
} csystem_outgoing;

enum {
  /// The most datagrams in one system call, each way.
  csystem_batch_maximum = 64,
};

/// Fills `storage`; returns the length of the address. `is_mapped` writes IPv4 as ::ffff:a.b.c.d, for dual-stack sockets.
socklen_t csystem_to_sockaddr(const csystem_address *address, int is_mapped, struct sockaddr_storage *storage);

/// 0, or -EAFNOSUPPORT when it is neither IPv4 nor IPv6. An IPv4-mapped address becomes IPv4.
int csystem_from_sockaddr(const struct sockaddr *from, csystem_address *address);

/// A bound, non-blocking, close-on-exec UDP socket. `is_dual` lets an IPv6 socket carry IPv4 too.
int csystem_udp_bind(const csystem_address *at, int is_dual, int receive_buffer_bytes);

/// A listening, non-blocking, close-on-exec TCP socket.
int csystem_tcp_listen(const csystem_address *at, int is_dual, int backlog);

/// An unconnected, non-blocking TCP socket of the family of `to`, bound to the address of `local` (any port) unless NULL.
int csystem_tcp_dial_socket(const csystem_address *to, const csystem_address *local);

/// Accepts one connection, tuned like a dialled one; -EAGAIN when none waits.
int csystem_tcp_accept(int listener, csystem_address *from);

/// The local address of a bound socket.
int csystem_local_address(int descriptor, csystem_address *address);

/// recvmmsg into `slots` parts of `slab`. Returns the number of datagrams, or -EAGAIN when none waits.
int csystem_receive_batch(int descriptor, void *slab, size_t slot_bytes, unsigned slots, csystem_received *received);

/// sendmmsg with a result per datagram: one that cannot be sent never holds up the others. Returns the number sent.
/// `count` is at most csystem_batch_maximum.
int csystem_send_batch(int descriptor, int is_mapped, csystem_outgoing *outgoing, unsigned count);

/// Anonymous memory that costs address space only, until touched. NULL when there is none.
void *csystem_map(size_t bytes);
void csystem_unmap(void *address, size_t bytes);

/// A descriptor held in reserve, given up when the process runs out of them.
int csystem_open_reserve(void);

/// Writes to a closed peer report EPIPE instead of ending the process.
void csystem_ignore_broken_pipes(void);

/// Sends one datagram to a Unix socket, without waiting; a name that starts with '@' is abstract. 0 or a negated errno.
int csystem_send_to_unix(const char *name, size_t name_bytes, const void *bytes, size_t count);

/// Unmaps the pages of code and constants of the program and its libraries; those in use come back at the next touch, from
/// the page cache. A debugger loses the breakpoints that it has set before.
void csystem_release_code(void);

#endif
