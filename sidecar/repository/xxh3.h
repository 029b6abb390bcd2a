/* XXH3-128 of the xxHash library, compiled for one kind of processors after the other (xxh3.c),
   because its package has the choice at run time in a shared library only. In C: what a C++
   compiler makes of inline functions for one processor would be shared with all others. */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { xxh3_state_size = 576, xxh3_digest_size = 16 };

/* A digest is in its canonical form: big-endian bytes. A state has xxh3_state_size bytes, aligned
 * to 64. */
struct xxh3_functions {
    void (*hash)(const void* bytes, size_t size, unsigned char* digest);
    void (*reset)(void* state);
    void (*update)(void* state, const void* bytes, size_t size);
    void (*digest)(const void* state, unsigned char* digest);
};

extern const struct xxh3_functions xxh3_generic;
#ifdef HOT_BACKUP_XXH3_AVX2
extern const struct xxh3_functions xxh3_avx2;
#endif

#ifdef __cplusplus
}
#endif
