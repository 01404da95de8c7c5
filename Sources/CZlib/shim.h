#ifndef NOMADD_CZLIB_SHIM_H
#define NOMADD_CZLIB_SHIM_H
#include <zlib.h>

// The initialisers are macros. 15 bits of window, and 16 for a gzip wrapper instead of zlib's own.
static inline int czlib_deflate_gzip(z_stream *stream) {
  return deflateInit2(stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

static inline int czlib_inflate_gzip(z_stream *stream) { return inflateInit2(stream, 15 + 16); }
#endif
