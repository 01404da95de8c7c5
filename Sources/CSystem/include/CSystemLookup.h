#ifndef NOMADD_CSYSTEM_LOOKUP_H
#define NOMADD_CSYSTEM_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

enum {
  /// Room for one host name with its zero byte.
  CSYSTEM_SRV_NAME_BYTES = 256,
};

/// Asks the C library's resolver for SRV records; blocks. Writes up to `maximum` names, CSYSTEM_SRV_NAME_BYTES apart, and
/// their ports. The number of records, or -1 when there is no answer.
int csystem_lookup_srv(const char *name, char *names, uint16_t *ports, int maximum);

/// Runs a program without a shell and collects its standard output; blocks. The bytes written to `output`, or -1 when the
/// program cannot be started, fails, prints more than `size`, or takes longer than the time given.
long csystem_program_output(char *const *arguments, char *output, size_t size, int timeout_milliseconds);

#endif
