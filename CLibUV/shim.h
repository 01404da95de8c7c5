#ifndef NOMADD_CLIBUV_SHIM_H
#define NOMADD_CLIBUV_SHIM_H
#include <uv.h>
#endif
