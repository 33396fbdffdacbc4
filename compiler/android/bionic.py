"""Android's C library, as far as an engine may use it: names to link against, without the NDK.

A shared library for Android must name `libc.so` and `libm.so` as what it needs, and must not use
a function that bionic lacks (musl and glibc export many). So it is linked against libraries made
here, which have these names and no code; a function that is not listed fails the link.
"""

from collections.abc import Mapping

# arm64 Android begins with API level 21; every function here is older.
# Source: the version scripts bionic/libc/libc.map.txt and bionic/libm/libm.map.txt.
BIONIC: Mapping[str, tuple[str, ...]] = {
    "libc.so": (
        *("calloc", "free", "getauxval", "malloc", "posix_memalign", "realloc"),
        *("memcmp", "memcpy", "memmove", "memset", "qsort", "strcmp", "strlen", "strncmp"),
        *("pthread_cond_broadcast", "pthread_cond_destroy", "pthread_cond_init"),
        *("pthread_cond_signal", "pthread_cond_wait", "pthread_create", "pthread_join"),
        *("pthread_mutex_destroy", "pthread_mutex_init", "pthread_mutex_lock"),
        *("pthread_mutex_unlock", "pthread_once"),
    ),
    "libm.so": ("ldexp", "ldexpf", "lrint", "lrintf", "nearbyintf", "rintf", "roundf"),
}


def stub_source(names: tuple[str, ...]) -> str:
    """C for a library that exports `names` and nothing else; it is linked with, never run."""
    return "".join(f"void {name}(void) {{}}\n" for name in names)
