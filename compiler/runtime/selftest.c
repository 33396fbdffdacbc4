/* The blob's own test: a seeded patch through every path, 64 samples of the output compared, or its
 * checksum, where the blob is of coded integers.
 * Integers are the same everywhere; floats may round to the code value beside the right one. */
#include <stdlib.h>

#include "bytes.h"
#include "internal.h"

enum { SIDE = 8, SAMPLES = 64 };

static uint32_t next_state(uint32_t *state) {
    return *state = *state * 1664525u + 1013904223u; /* Numerical Recipes */
}

static int check_samples(const uint8_t *hr, int32_t n, const uint8_t *wanted, uint32_t state) {
    const int most = psr_is_int8 ? 0 : 1;
    for (int i = 0; i < SAMPLES; ++i) {
        const int difference = hr[(next_state(&state) >> 8) % (uint32_t)n] - wanted[i];
        if (difference < -most || difference > most) return PSR_E_SELFTEST;
    }
    return PSR_OK;
}

static int check_pixels(const psr_blob *blob, const uint8_t *hr, int32_t n, const uint8_t *wanted,
                        uint32_t state) {
    if (blob->dtype != PSR_INT8_CODED) return check_samples(hr, n, wanted, state);
    return psr_crc32(hr, (size_t)n) == psr_read_u32(wanted) ? PSR_OK : PSR_E_SELFTEST;
}

static int test_path(const psr_net *net, const psr_blob *blob, const uint8_t *row) {
    const int path = row[0];
    const int32_t u = net->arch.units, patch = (SIDE + u - 1) / u * u; /* whole units */
    const int32_t side = patch + 2 * psr_halo_px(net, path), hr_side = psr_hr_px(net, patch);
    const size_t lr_bytes = (size_t)side * side * 3;
    uint8_t *lr = malloc(lr_bytes), *hr = malloc((size_t)hr_side * hr_side * 3);
    void *arena = psr_alloc(psr_arena_bytes(net, path, patch, patch));
    int error = PSR_E_NOMEM;
    if (lr && hr && arena) {
        uint32_t state = 1;
        for (size_t i = 0; i < lr_bytes; ++i) lr[i] = (uint8_t)(next_state(&state) >> 24);
        error = psr_upscale(net, path, lr, 3 * side, patch, patch, hr, 3 * hr_side, arena);
        if (!error) error = check_pixels(blob, hr, hr_side * hr_side * 3, row + 1, state);
    }
    free(lr);
    free(hr);
    psr_free(arena);
    return error;
}

int psr_selftest(const psr_net *net, const psr_blob *blob) {
    for (int32_t i = 0; i < blob->n_tests; ++i) {
        const uint8_t *row = blob->tests + (size_t)i * psr_test_bytes(blob->dtype);
        const int error = test_path(net, blob, row);
        if (error) return error;
    }
    return PSR_OK;
}
