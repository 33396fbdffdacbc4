/* The entry points of libFuzzer: one blob, and the damage that leads from one to the next. */
#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_blob(data, size);
    return 0;
}

/* Its own way and ours by turns; one checksum in 16 stays as it fell. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    uint32_t state = seed | 1;
    next_random(&state);
    size = next_random(&state) % 2 ? LLVMFuzzerMutate(data, size, most)
                                   : mutate_blob(data, size, most, next_random(&state));
    if (next_random(&state) % 16) mend_checksum(data, size);
    return size;
}
