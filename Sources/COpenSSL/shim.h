#ifndef NOMADD_COPENSSL_SHIM_H
#define NOMADD_COPENSSL_SHIM_H
#include <openssl/evp.h>
#endif
