/* The weights blob's parser: player/package/weights.py in C. Checks everything, copies nothing. */
#include <string.h>

#include "bytes.h"
#include "internal.h"

enum {
    HEADER_BYTES = 12,
    CRC_BYTES = 4,
    CODED_VERSION = 3,
    INT8_OUTPUT_BYTES = 8 /* bias and multiplier */
};

/* A nibble at a time. */
uint32_t psr_crc32(const uint8_t *data, size_t n) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; ++i) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static int refuse(psr_blob *out, int error, const char *why) {
    out->why = why;
    return error;
}

/* Scale and units as the header has them, by its version. */
static void read_ratio(const uint8_t *blob, psr_arch *arch) {
    const int is_first = blob[4] == 1;
    arch->p = is_first ? blob[6] : blob[6] >> 4;
    arch->q = is_first ? 1 : blob[6] & 15;
    arch->units = is_first ? 1 : blob[7];
}

static int is_coded(const uint8_t *blob) { return blob[4] == CODED_VERSION; }

/* Of widths and exits; the widths of coded blobs count groups. */
static size_t number_bytes(const uint8_t *blob) {
    return ((size_t)blob[9] + blob[10]) * (is_coded(blob) ? 1 : 2);
}

static int read_number(const uint8_t *blob, size_t i) {
    return is_coded(blob) ? blob[HEADER_BYTES + i] : psr_read_u16(blob + HEADER_BYTES + 2 * i);
}

static int read_arch(const uint8_t *blob, size_t n, psr_blob *out) {
    psr_arch *arch = &out->arch;
    *arch = (psr_arch){.id = blob[5], .n_widths = blob[9], .n_exits = blob[10]};
    read_ratio(blob, arch);
    if (blob[4] == 1 && (blob[7] != 3 || arch->p < 2))
        return refuse(out, PSR_E_LIMIT, "scale or planes are not those of version 1");
    if (arch->n_widths > PSR_MAX_DEPTH) return refuse(out, PSR_E_ARCH, "depth is not in 1..12");
    if (arch->n_exits > PSR_MAX_EXITS) return refuse(out, PSR_E_ARCH, "exits are not 1..4");
    if (blob[11] >= PSR_PATHS)
        return refuse(out, PSR_E_LIMIT, "its self-test has more rows than there are paths");
    const size_t numbers = (size_t)(arch->n_widths + arch->n_exits);
    if (n < HEADER_BYTES + number_bytes(blob) + 4 + CRC_BYTES)
        return refuse(out, PSR_E_FORMAT, "it ends within its header");
    for (size_t i = 0; i < numbers; ++i) {
        const int number = read_number(blob, i);
        if (i < (size_t)arch->n_widths)
            arch->widths[i] = (uint16_t)(is_coded(blob) ? number * PSR_GROUP : number);
        else
            arch->exits[i - arch->n_widths] = (uint16_t)number;
    }
    out->why = psr_arch_complete(arch);
    return out->why ? PSR_E_ARCH : PSR_OK;
}

static size_t weights_of(const psr_conv_spec *spec) {
    return (size_t)spec->out * spec->in * spec->window * spec->window;
}

/* int8: a byte a weight, then s32 biases and f32 multipliers; else all of one size. */
size_t psr_dense_bytes(const psr_conv_spec *spec, int dtype) {
    const size_t weight = dtype == PSR_INT8 ? 1 : dtype == PSR_F32 ? 4 : 2;
    const size_t output = dtype == PSR_INT8 ? INT8_OUTPUT_BYTES : weight;
    return weights_of(spec) * weight + spec->out * output;
}

static int is_dense(const psr_blob *blob, size_t payload) {
    size_t bytes = 0;
    for (int32_t i = 0; i < blob->arch.n_convs; ++i)
        bytes += psr_dense_bytes(&blob->arch.convs[i], blob->dtype);
    return payload == bytes;
}

/* A few bytes may unfold into many weights; whether they are the network's, psr_pack will see. */
static int may_be_coded(const psr_arch *arch) {
    size_t weights = 0;
    for (int32_t i = 0; i < arch->n_convs; ++i) weights += weights_of(&arch->convs[i]);
    return weights <= PSR_MAX_CODED_WEIGHTS;
}

size_t psr_count_bits(const uint8_t *bitmap, size_t bytes) {
    size_t bits = 0;
    for (size_t i = 0; i < bytes; ++i)
        for (unsigned left = bitmap[i]; left; left &= left - 1) ++bits;
    return bits;
}

static int has_zero(const uint8_t *values, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (!values[i]) return 1;
    return 0;
}

/* The bytes of a sparse convolution at `from`, where `room` bytes are left; 0 where it is none:
 * it ends outside, has a bit behind its last weight, or stores a zero. */
static size_t sparse_conv_bytes(const psr_conv_spec *spec, const uint8_t *from, size_t room) {
    const size_t weights = weights_of(spec), bitmap = psr_bitmap_bytes(weights);
    const size_t outputs = (size_t)spec->out * INT8_OUTPUT_BYTES;
    if (room < bitmap + outputs) return 0;
    if (weights % 8 && from[bitmap - 1] >> weights % 8) return 0;
    const size_t values = psr_count_bits(from, bitmap);
    if (room - bitmap - outputs < values || has_zero(from + bitmap, values)) return 0;
    return bitmap + values + outputs;
}

/* Whether the `bytes` at `payload` are the network's sparse convolutions, and nothing else. */
static int is_sparse(const psr_arch *arch, const uint8_t *payload, size_t bytes) {
    for (int32_t i = 0; i < arch->n_convs; ++i) {
        const size_t conv = sparse_conv_bytes(&arch->convs[i], payload, bytes);
        if (!conv) return 0;
        payload += conv;
        bytes -= conv;
    }
    return bytes == 0;
}

static int has_payload(const psr_blob *blob, size_t bytes) {
    if (blob->dtype == PSR_INT8_SPARSE) return is_sparse(&blob->arch, blob->payload, bytes);
    if (blob->dtype == PSR_INT8_CODED) return bytes && may_be_coded(&blob->arch);
    return is_dense(blob, bytes);
}

/* The self-test has no row, or one for each of the network's paths, in order. */
static int check_tests(const psr_blob *blob) {
    int32_t row = 0;
    if (blob->n_tests == 0) return PSR_OK;
    for (int path = PSR_PATH_EASY; path < PSR_PATHS; ++path) {
        if (psr_exit_of(&blob->arch, path) < 0) continue;
        if (row == blob->n_tests) return PSR_E_FORMAT;
        if (blob->tests[(size_t)row * psr_test_bytes(blob->dtype)] != path) return PSR_E_FORMAT;
        ++row;
    }
    return row == blob->n_tests ? PSR_OK : PSR_E_FORMAT;
}

int psr_blob_parse(const uint8_t *blob, size_t n, psr_blob *out) {
    if (n < HEADER_BYTES + CRC_BYTES) return refuse(out, PSR_E_FORMAT, "it is too short");
    if (n > PSR_MAX_BLOB_BYTES) return refuse(out, PSR_E_LIMIT, "it is longer than 4 MiB");
    if (memcmp(blob, "PSRW", 4) != 0) return refuse(out, PSR_E_FORMAT, "not a weights blob");
    if (blob[4] < 1 || blob[4] > CODED_VERSION)
        return refuse(out, PSR_E_FORMAT, "its version is newer than this engine, which knows 1 to 3");
    if (psr_crc32(blob, n - CRC_BYTES) != psr_read_u32(blob + n - CRC_BYTES))
        return refuse(out, PSR_E_CRC, "the checksum is wrong");
    if (blob[8] < PSR_F32 || blob[8] > PSR_INT8_CODED || (blob[8] == PSR_INT8_CODED) != is_coded(blob))
        return refuse(out, PSR_E_FORMAT, "its number format is not known");
    if ((blob[8] >= PSR_INT8) != psr_is_int8)
        return refuse(out, PSR_E_ARCH, "its numbers are those of the other dtype's engine");
    const int error = read_arch(blob, n, out);
    if (error) return error;
    out->dtype = blob[8];
    out->n_tests = blob[11];
    const size_t numbers_end = HEADER_BYTES + number_bytes(blob);
    const size_t at = numbers_end + (is_coded(blob) ? 0 : 4); /* coded ones do not say their length */
    const size_t around = at + (size_t)out->n_tests * psr_test_bytes(out->dtype) + CRC_BYTES;
    out->why = "its length does not fit the network";
    if (n < around) return PSR_E_FORMAT;
    out->payload_bytes = n - around;
    if (!is_coded(blob) && psr_read_u32(blob + numbers_end) != out->payload_bytes)
        return PSR_E_FORMAT;
    out->payload = blob + at;
    out->tests = out->payload + out->payload_bytes;
    if (!has_payload(out, out->payload_bytes)) return PSR_E_FORMAT;
    out->why = "its self-test is not for the network's paths";
    return check_tests(out);
}
