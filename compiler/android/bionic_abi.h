/* Included before every C file of an engine for Android, which is compiled against musl's headers
 * (zig carries no others for Linux on ARM) and runs with Android's C library, bionic.
 *
 * What the two must agree on is the size of what the engine keeps inside its own structures.
 * bionic's numbers are those of an LP64 machine in bionic/libc/include/bits/pthread_types.h:
 * pthread_mutex_t is int32_t[10], pthread_cond_t is int32_t[12], pthread_t is long. They are part
 * of Android's ABI and cannot change. */
#ifndef PSR_BIONIC_ABI_H
#define PSR_BIONIC_ABI_H

#include <pthread.h>
#include <stdint.h>

_Static_assert(sizeof(void *) == 8 && sizeof(long) == 8, "bionic on arm64 is LP64");
_Static_assert(sizeof(pthread_mutex_t) == 10 * sizeof(int32_t), "pthread_mutex_t");
_Static_assert(sizeof(pthread_cond_t) == 12 * sizeof(int32_t), "pthread_cond_t");
_Static_assert(sizeof(pthread_t) == sizeof(long), "pthread_t");
_Static_assert(_Alignof(pthread_mutex_t) >= 4 && _Alignof(pthread_cond_t) >= 4, "alignment");

#endif
