#ifndef NOMADD_COPENSSL_SHIM_H
#define NOMADD_COPENSSL_SHIM_H
#include <openssl/evp.h>
#include <openssl/rand.h>

// The controls are macros with a cast, which Swift does not import.
static inline int copenssl_set_tag(EVP_CIPHER_CTX *context, void *tag, int bytes) {
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, bytes, tag);
}

static inline int copenssl_get_tag(EVP_CIPHER_CTX *context, void *tag, int bytes) {
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, bytes, tag);
}
#endif
