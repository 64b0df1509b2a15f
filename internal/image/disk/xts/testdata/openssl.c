// Encrypts standard input with OpenSSL's XTS-AES-256, for tests:
//   openssl-xts KEY IV SIZE
// where KEY is 128 hexadecimal digits, IV belongs to the first data unit, SIZE
// is that of a data unit in bytes, and each IV is SIZE/512 more than the last.
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int ok, const char *what) {
  if (!ok) {
    fprintf(stderr, "%s\n", what);
    exit(1);
  }
}

int main(int argc, char **argv) {
  unsigned char key[64], iv[16] = {0}, in[4096], out[4096];
  check(argc == 4, "want a key, an IV and a size");
  for (int i = 0; i < 64; i++)
    check(sscanf(argv[1] + 2 * i, "%2hhx", &key[i]) == 1, "bad key");
  uint64_t number = strtoull(argv[2], NULL, 10);
  size_t size = strtoul(argv[3], NULL, 10);
  check(size > 0 && size <= sizeof in, "bad size");

  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  check(ctx != NULL, "no memory");
  while (fread(in, size, 1, stdin) == 1) {
    for (int i = 0; i < 8; i++)
      iv[i] = number >> (8 * i) & 0xFF;
    int n = 0;
    check(EVP_EncryptInit_ex(ctx, EVP_aes_256_xts(), NULL, key, iv), "init");
    check(EVP_EncryptUpdate(ctx, out, &n, in, size) && n == (int)size, "encrypt");
    check(fwrite(out, size, 1, stdout) == 1, "write");
    number += size / 512;
  }
  EVP_CIPHER_CTX_free(ctx);
  return 0;
}
