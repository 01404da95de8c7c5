#define _GNU_SOURCE
#include "CBench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

// The echo.

static char echo_buffer[65536];

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
  (void)handle;
  (void)wanted;
  *buffer = uv_buf_init(echo_buffer, sizeof echo_buffer);
}

static void on_datagram(uv_udp_t *handle, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *from,
                        unsigned flags) {
  (void)flags;
  if (count <= 0 || from == NULL) return;
  uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)count);
  // The fastest way libuv offers: no request, no queue.
  uv_udp_try_send(handle, &answer, 1, from);
}

int cbench_echo(const char *host, uint16_t port) {
  uv_loop_t *loop = uv_default_loop();
  static uv_udp_t handle;
  struct sockaddr_in at;
  int code = uv_ip4_addr(host, port, &at);
  if (code == 0) code = uv_udp_init(loop, &handle);
  if (code == 0) code = uv_udp_bind(&handle, (const struct sockaddr *)&at, 0);
  if (code == 0) code = uv_udp_recv_start(&handle, on_alloc, on_datagram);
  if (code != 0) return code;
  uv_run(loop, UV_RUN_DEFAULT);
  return UV_ECANCELED;
}

// The pings. A connected socket and batches: the load must cost less than what it measures.

enum { maximum_outstanding = 256, packet_bytes = 19, sample_count = 1 << 20, sequence_at = 15 };

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/// The sequence of an ack, which is the last 5 bytes of its map in the order peers write it: key, 0xce, number.
static int find_sequence(const uint8_t *bytes, size_t count, uint32_t *sequence) {
  static const uint8_t key[] = {0xa5, 'S', 'e', 'q', 'N', 'o', 0xce};
  const uint8_t *at = memmem(bytes, count, key, sizeof key);
  if (at == NULL || (size_t)(at - bytes) + sizeof key + 4 > count) return 0;
  at += sizeof key;
  *sequence = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
  return 1;
}

int cbench_ping(const char *host, uint16_t port, unsigned outstanding, double seconds, cbench_result *result) {
  if (outstanding == 0 || outstanding > maximum_outstanding) return -EINVAL;
  struct sockaddr_in to;
  memset(&to, 0, sizeof to);
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) return -EINVAL;
  int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -errno;
  if (connect(descriptor, (struct sockaddr *)&to, sizeof to) != 0) {
    int code = -errno;
    close(descriptor);
    return code;
  }

  static uint8_t requests[maximum_outstanding][packet_bytes];
  static uint8_t answers[maximum_outstanding][2048];
  static uint64_t sent[maximum_outstanding];
  static uint32_t expected[maximum_outstanding];
  static struct mmsghdr out[maximum_outstanding], in[maximum_outstanding];
  static struct iovec out_parts[maximum_outstanding], in_parts[maximum_outstanding];
  uint32_t *samples = malloc(sample_count * sizeof *samples);
  if (samples == NULL) {
    close(descriptor);
    return -ENOMEM;
  }
  // A ping for anybody: {"Node": "", "SeqNo": a number that is always written in five bytes}.
  static const uint8_t ping[packet_bytes] = {0x00, 0x82, 0xa4, 'N', 'o', 'd', 'e', 0xa0, 0xa5, 'S',
                                             'e',  'q',  'N',  'o', 0xce, 0x80, 0,   0,    0};
  memset(out, 0, sizeof out);
  memset(in, 0, sizeof in);
  for (unsigned i = 0; i < maximum_outstanding; i++) {
    memcpy(requests[i], ping, packet_bytes);
    in_parts[i] = (struct iovec){answers[i], sizeof answers[i]};
    in[i].msg_hdr.msg_iov = &in_parts[i];
    in[i].msg_hdr.msg_iovlen = 1;
    out[i].msg_hdr.msg_iov = &out_parts[i];
    out[i].msg_hdr.msg_iovlen = 1;
  }

  memset(result, 0, sizeof *result);
  uint32_t round = 0;
  unsigned waiting[maximum_outstanding];
  unsigned count = 0;
  for (unsigned slot = 0; slot < outstanding; slot++) waiting[count++] = slot;
  uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), now = start;
  int code = 0;
  while (now < end) {
    for (unsigned i = 0; i < count; i++) {
      unsigned slot = waiting[i];
      // The slot and the round: an answer that comes after its request was given up counts for nothing.
      uint32_t sequence = 0x80000000u | (round++ & 0x7fffff) << 8 | slot;
      expected[slot] = sequence;
      sent[slot] = now;
      uint8_t *at = requests[slot] + sequence_at;
      at[0] = (uint8_t)(sequence >> 24);
      at[1] = (uint8_t)(sequence >> 16);
      at[2] = (uint8_t)(sequence >> 8);
      at[3] = (uint8_t)sequence;
      out_parts[i] = (struct iovec){requests[slot], packet_bytes};
    }
    unsigned done = 0;
    while (done < count) {
      int n = sendmmsg(descriptor, out + done, count - done, 0);
      // What is not sent is lost, and is sent again later; ECONNREFUSED tells of an earlier datagram.
      if (n <= 0) {
        if (errno == ECONNREFUSED || errno == EINTR) continue;
        break;
      }
      done += (unsigned)n;
    }
    count = 0;
    struct pollfd wait = {descriptor, POLLIN, 0};
    if (poll(&wait, 1, 50) < 0 && errno != EINTR) {
      code = -errno;
      break;
    }
    int n = recvmmsg(descriptor, in, outstanding, MSG_DONTWAIT, NULL);
    now = now_ns();
    for (int i = 0; i < n; i++) {
      uint32_t sequence;
      if (!find_sequence(answers[i], in[i].msg_len, &sequence)) continue;
      unsigned slot = sequence & 0xff;
      if (slot >= outstanding || expected[slot] != sequence) continue;
      expected[slot] = 0;
      result->answer_bytes = in[i].msg_len;
      samples[result->answers % sample_count] = (uint32_t)(now - sent[slot]);
      result->answers++;
      waiting[count++] = slot;
    }
    if (n > 0) continue;
    for (unsigned slot = 0; slot < outstanding; slot++) {
      if (now - sent[slot] < 40000000u) continue;
      result->lost++;
      waiting[count++] = slot;
    }
  }
  result->elapsed = now_ns() - start;
  uint64_t taken = result->answers < sample_count ? result->answers : sample_count;
  qsort(samples, taken, sizeof *samples, compare);
  if (taken > 0) {
    result->median = samples[taken / 2];
    result->p99 = samples[taken * 99 / 100];
  }
  free(samples);
  close(descriptor);
  return code;
}
