/* HOT_BACKUP_XXH3 is the name of the functions that are compiled: see CMakeLists.txt. */
#include "sidecar/repository/xxh3.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) == xxh3_state_size,
               "xxh3_state_size is the size of the library's state");

static void store(XXH128_hash_t hash, unsigned char* digest) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(digest, canonical.digest, xxh3_digest_size);
}

static void hash(const void* bytes, size_t size, unsigned char* digest) {
    store(XXH3_128bits(bytes, size), digest);
}

static void reset(void* state) {
    XXH3_INITSTATE((XXH3_state_t*)state);
    XXH3_128bits_reset(state);
}

static void update(void* state, const void* bytes, size_t size) {
    XXH3_128bits_update(state, bytes, size);
}

static void digest_of(const void* state, unsigned char* digest) {
    store(XXH3_128bits_digest(state), digest);
}

const struct xxh3_functions HOT_BACKUP_XXH3 = {hash, reset, update, digest_of};
