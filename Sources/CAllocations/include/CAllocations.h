#ifndef NOMADD_CALLOCATIONS_H
#define NOMADD_CALLOCATIONS_H

#include <stdint.h>

/// How often this thread has asked the C library for memory since it started.
///
/// Linking this target replaces malloc, calloc and realloc of the whole program by ones that count.
uint64_t callocations_count(void);

#endif
