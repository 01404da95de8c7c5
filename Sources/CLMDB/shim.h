#ifndef NOMADD_CLMDB_SHIM_H
#define NOMADD_CLMDB_SHIM_H
#include <lmdb.h>
#endif
