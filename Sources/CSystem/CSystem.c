#define _GNU_SOURCE
#include "CSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

// A peer that vanished is noticed after about a minute, whether the stream is idle (keep-alive) or has unacknowledged
// bytes (user timeout).
enum { keepalive_idle_seconds = 15, keepalive_interval_seconds = 15, keepalive_probes = 3, user_timeout_ms = 60000 };

static uint64_t load_be64(const uint8_t *bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
  return value;
}

static void store_be64(uint8_t *bytes, uint64_t value) {
  for (int i = 7; i >= 0; i--, value >>= 8) bytes[i] = (uint8_t)value;
}

socklen_t csystem_to_sockaddr(const csystem_address *address, int is_mapped, struct sockaddr_storage *storage) {
  memset(storage, 0, sizeof(struct sockaddr_in6));
  if (address->family == 4 && !is_mapped) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address->port);
    v4->sin_addr.s_addr = htonl((uint32_t)address->low);
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(address->port);
  v6->sin6_scope_id = address->family == 6 ? address->zone : 0;
  store_be64(v6->sin6_addr.s6_addr, address->family == 6 ? address->high : 0);
  store_be64(v6->sin6_addr.s6_addr + 8, address->family == 6 ? address->low : 0xFFFF00000000 | (uint32_t)address->low);
  return sizeof *v6;
}

int csystem_from_sockaddr(const struct sockaddr *from, csystem_address *address) {
  memset(address, 0, sizeof *address);
  if (from->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
    address->family = 4;
    address->low = ntohl(v4->sin_addr.s_addr);
    address->port = ntohs(v4->sin_port);
    return 0;
  }
  if (from->sa_family != AF_INET6) return -EAFNOSUPPORT;
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
  address->port = ntohs(v6->sin6_port);
  uint64_t high = load_be64(v6->sin6_addr.s6_addr), low = load_be64(v6->sin6_addr.s6_addr + 8);
  if (high == 0 && low >> 32 == 0xFFFF) {
    address->family = 4;
    address->low = (uint32_t)low;
    return 0;
  }
  address->family = 6;
  address->high = high;
  address->low = low;
  address->zone = v6->sin6_scope_id;
  return 0;
}

static int fail(int descriptor) {
  int error = -errno;
  close(descriptor);
  return error;
}

static int set(int descriptor, int level, int option, int value) {
  return setsockopt(descriptor, level, option, &value, sizeof value);
}

static int open_socket(const csystem_address *like, int type) {
  int descriptor = socket(like->family == 6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return descriptor < 0 ? -errno : descriptor;
}

static int bind_socket(int descriptor, const csystem_address *at, int is_dual) {
  if (at->family == 6 && set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, !is_dual) != 0) return -1;
  struct sockaddr_storage storage;
  socklen_t length = csystem_to_sockaddr(at, 0, &storage);
  return bind(descriptor, (struct sockaddr *)&storage, length);
}

int csystem_udp_bind(const csystem_address *at, int is_dual, int receive_buffer_bytes) {
  int descriptor = open_socket(at, SOCK_DGRAM);
  if (descriptor < 0) return descriptor;
  // The kernel clamps this to net.core.rmem_max; less than asked for is no error.
  set(descriptor, SOL_SOCKET, SO_RCVBUF, receive_buffer_bytes);
  if (bind_socket(descriptor, at, is_dual) != 0) return fail(descriptor);
  return descriptor;
}

int csystem_tcp_listen(const csystem_address *at, int is_dual, int backlog) {
  int descriptor = open_socket(at, SOCK_STREAM);
  if (descriptor < 0) return descriptor;
  // A restart must not wait for the streams of the previous process to leave TIME_WAIT.
  if (set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) != 0) return fail(descriptor);
  if (bind_socket(descriptor, at, is_dual) != 0) return fail(descriptor);
  if (listen(descriptor, backlog) != 0) return fail(descriptor);
  return descriptor;
}

// Best effort: a socket without one of these options still works.
static void tune(int descriptor) {
  set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_seconds);
  set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_seconds);
  set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
  set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
}

int csystem_tcp_dial_socket(const csystem_address *to, const csystem_address *local) {
  int descriptor = open_socket(to, SOCK_STREAM);
  if (descriptor < 0) return descriptor;
  tune(descriptor);
  if (local != NULL) {
    // The kernel chooses the port at connect time, when it knows the peer: one port can then serve many peers.
    set(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    csystem_address any_port = *local;
    any_port.port = 0;
    if (bind_socket(descriptor, &any_port, 0) != 0) return fail(descriptor);
  }
  return descriptor;
}

int csystem_tcp_accept(int listener, csystem_address *from) {
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  int descriptor;
  do {
    descriptor = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (descriptor < 0) return -errno;
  if (csystem_from_sockaddr((struct sockaddr *)&storage, from) != 0) {
    errno = EAFNOSUPPORT;
    return fail(descriptor);
  }
  tune(descriptor);
  return descriptor;
}

int csystem_local_address(int descriptor, csystem_address *address) {
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  if (getsockname(descriptor, (struct sockaddr *)&storage, &length) != 0) return -errno;
  return csystem_from_sockaddr((struct sockaddr *)&storage, address);
}

int csystem_receive_batch(int descriptor, void *slab, size_t slot_bytes, unsigned slots, csystem_received *received) {
  struct mmsghdr messages[csystem_batch_maximum];
  struct iovec parts[csystem_batch_maximum];
  struct sockaddr_in6 peers[csystem_batch_maximum];
  if (slots > csystem_batch_maximum) slots = csystem_batch_maximum;
  memset(messages, 0, slots * sizeof messages[0]);
  for (unsigned i = 0; i < slots; i++) {
    parts[i] = (struct iovec){(uint8_t *)slab + i * slot_bytes, slot_bytes};
    messages[i].msg_hdr.msg_name = &peers[i];
    messages[i].msg_hdr.msg_namelen = sizeof peers[i];
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int count;
  do {
    count = recvmmsg(descriptor, messages, slots, MSG_DONTWAIT, NULL);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  for (int i = 0; i < count; i++) {
    received[i].length = messages[i].msg_len;
    received[i].is_truncated = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    // The socket is an IP socket, so the kernel wrote an IP address.
    csystem_from_sockaddr((struct sockaddr *)&peers[i], &received[i].from);
  }
  return count;
}

int csystem_send_batch(int descriptor, int is_mapped, csystem_outgoing *outgoing, unsigned count) {
  struct mmsghdr messages[csystem_batch_maximum];
  struct iovec parts[csystem_batch_maximum];
  struct sockaddr_in6 peers[csystem_batch_maximum];
  if (count > csystem_batch_maximum) count = csystem_batch_maximum;
  memset(messages, 0, count * sizeof messages[0]);
  for (unsigned i = 0; i < count; i++) {
    parts[i] = (struct iovec){(void *)outgoing[i].bytes, outgoing[i].length};
    messages[i].msg_hdr.msg_name = &peers[i];
    messages[i].msg_hdr.msg_namelen =
        csystem_to_sockaddr(&outgoing[i].to, is_mapped, (struct sockaddr_storage *)&peers[i]);
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    outgoing[i].error = -EAGAIN;
  }
  unsigned position = 0;
  int sent = 0;
  while (position < count) {
    int result = sendmmsg(descriptor, messages + position, count - position, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result > 0) {
      // A short count hides the error of the first datagram not sent; the next round asks for it again.
      for (int i = 0; i < result; i++) outgoing[position + i].error = 0;
      position += result;
      sent += result;
      continue;
    }
    if (result < 0 && errno == EINTR) continue;
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    outgoing[position].error = result < 0 ? -errno : -EIO;
    position += 1;
  }
  return sent;
}

void *csystem_map(size_t bytes) {
  void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return NULL;
  // A huge page would make the first datagram cost two megabytes.
  madvise(address, bytes, MADV_NOHUGEPAGE);
  return address;
}

void csystem_unmap(void *address, size_t bytes) { munmap(address, bytes); }

int csystem_open_reserve(void) {
  int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

void csystem_ignore_broken_pipes(void) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

int csystem_send_to_unix(const char *name, size_t name_bytes, const void *bytes, size_t count) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (name_bytes == 0 || name_bytes >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, name, name_bytes);
  int is_abstract = name[0] == '@';
  if (is_abstract) address.sun_path[0] = 0;
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_bytes + (is_abstract ? 0 : 1));
  int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -errno;
  ssize_t sent = sendto(descriptor, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, length);
  int error = sent < 0 ? -errno : 0;
  close(descriptor);
  return error;
}
