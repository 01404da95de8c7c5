#define _GNU_SOURCE
#include "CSystemLookup.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int csystem_lookup_srv(const char *name, char *names, uint16_t *ports, int maximum) {
  unsigned char answer[16384];
  struct __res_state state;
  memset(&state, 0, sizeof state);
  if (res_ninit(&state) != 0) return -1;
  int length = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, sizeof answer);
  res_nclose(&state);
  if (length < 0 || length > (int)sizeof answer) return -1;
  ns_msg message;
  if (ns_initparse(answer, length, &message) != 0) return -1;
  int found = 0;
  for (int i = 0; i < ns_msg_count(message, ns_s_an) && found < maximum; i++) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, i, &record) != 0) continue;
    if (ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) < 7) continue;
    const unsigned char *data = ns_rr_rdata(record);
    char *target = names + (size_t)found * CSYSTEM_SRV_NAME_BYTES;
    if (ns_name_uncompress(answer, answer + length, data + 6, target, CSYSTEM_SRV_NAME_BYTES) < 0) continue;
    ports[found++] = ns_get16(data + 4);
  }
  return found;
}

static long long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/// The bytes read until end of file, or -1.
static long read_all(int from, char *output, size_t size, int timeout_milliseconds) {
  long long end = milliseconds() + timeout_milliseconds;
  size_t total = 0;
  for (;;) {
    long long left = end - milliseconds();
    struct pollfd ready = {.fd = from, .events = POLLIN};
    if (left <= 0 || poll(&ready, 1, (int)left) <= 0) return -1;
    ssize_t count = read(from, output + total, size - total);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) return (long)total;
    total += (size_t)count;
    if (total == size) return -1;
  }
}

long csystem_program_output(char *const *arguments, char *output, size_t size, int timeout_milliseconds) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t child;
  int failed = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (failed) {
    close(ends[0]);
    return -1;
  }
  long result = read_all(ends[0], output, size, timeout_milliseconds);
  close(ends[0]);
  if (result < 0) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? result : -1;
}
