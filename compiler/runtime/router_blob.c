/* The router blob's parser: player/package/router_blob.py in C. Checks everything, copies nothing. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "router.h"

enum {
    HEADER_BYTES = 16,
    TAIL_BYTES = 8, /* self-test and checksum */
    MAX_BYTES = 1 << 19,
    MAX_CELL = PSR_QUARTER * PSR_MAX_ROUTER_SIDE
};

/* So that distances, sums and margins stay within 32 bits. */
static const int32_t CENTRE_LIMIT = 1 << 10, OFFSET_LIMIT = 1 << 29;

static int is_width(uint16_t width) {
    return width >= 4 && width <= PSR_MAX_ROUTER_WIDTH && width % 4 == 0;
}

static int check_header(const uint8_t *blob) {
    if (blob[5] < PSR_QUARTER || blob[5] > MAX_CELL || blob[5] % PSR_QUARTER) return PSR_E_LIMIT;
    if (blob[6] < 2 || blob[6] > PSR_MAX_CLASSES || blob[7] < 1) return PSR_E_LIMIT;
    for (int i = 0; i < 4; ++i)
        if (!is_width(psr_read_u16(blob + 8 + 2 * i))) return PSR_E_LIMIT;
    return PSR_OK;
}

static void fill_specs(const uint8_t *blob, psr_conv_spec *specs) {
    uint16_t width[4];
    for (int i = 0; i < 4; ++i) width[i] = psr_read_u16(blob + 8 + 2 * i);
    specs[PSR_EMBED] = (psr_conv_spec){width[0], 3, PSR_QUARTER, 0, 0};
    specs[PSR_MIX] = (psr_conv_spec){width[1], width[0], 3, 0, 0};
    specs[PSR_POOL] = (psr_conv_spec){width[2], width[1], blob[5] / PSR_QUARTER, 0, 0};
    specs[PSR_SQUEEZE] = (psr_conv_spec){width[3], width[2], 1, 0, 0};
    specs[PSR_EXCITE] = (psr_conv_spec){width[2], width[3], 1, 0, 0};
}

size_t psr_router_layer_bytes(const psr_conv_spec *spec) {
    return spec->out * ((size_t)spec->in * spec->window * spec->window + PSR_OUTPUT_BYTES);
}

/* Each class's numbers within their limits: no distance, offset or margin leaves 32 bits. */
static int check_classes(const psr_router_blob *blob) {
    for (int32_t i = 0; i < blob->classes * blob->specs[PSR_POOL].out; ++i)
        if (abs(psr_read_s16(blob->centres + 2 * i)) >= CENTRE_LIMIT) return PSR_E_LIMIT;
    for (int32_t k = 0; k < blob->classes; ++k) {
        const int32_t offset = psr_read_s32(blob->offsets + 4 * k);
        if (offset <= -OFFSET_LIMIT || offset >= OFFSET_LIMIT) return PSR_E_LIMIT;
        if (psr_read_s32(blob->margins + 4 * k) < 0) return PSR_E_LIMIT;
        if (blob->paths[k] > PSR_PATH_HARD) return PSR_E_LIMIT;
    }
    return PSR_OK;
}

int psr_router_parse(const uint8_t *blob, size_t n, psr_router_blob *out) {
    if (n < HEADER_BYTES + TAIL_BYTES) return PSR_E_FORMAT;
    if (n > MAX_BYTES) return PSR_E_LIMIT;
    if (memcmp(blob, "PSRO", 4) != 0 || blob[4] != 1) return PSR_E_FORMAT;
    if (psr_crc32(blob, n - 4) != psr_read_u32(blob + n - 4)) return PSR_E_CRC;
    const int limits = check_header(blob);
    if (limits) return limits;
    out->cell = blob[5];
    out->classes = blob[6];
    out->hold_frames = blob[7];
    fill_specs(blob, out->specs);
    const size_t classes = (size_t)out->classes;
    size_t layers = 0;
    for (int i = 0; i < PSR_ROUTER_LAYERS; ++i) layers += psr_router_layer_bytes(&out->specs[i]);
    const size_t features = out->specs[PSR_POOL].out;
    if (n != HEADER_BYTES + layers + classes * (2 * features + 4 + 4 + 1) + TAIL_BYTES)
        return PSR_E_FORMAT;
    out->layers = blob + HEADER_BYTES;
    out->centres = out->layers + layers;
    out->offsets = out->centres + 2 * classes * features;
    out->margins = out->offsets + 4 * classes;
    out->paths = out->margins + 4 * classes;
    out->test = psr_read_u32(out->paths + classes);
    return check_classes(out);
}
