/* Damage that knows where a blob keeps its numbers: see player/package/weights.py. */
#include <string.h>

#include "fuzz.h"

enum { HEADER = 12, CHECKSUM = 4, TEST_ROW = 65, CODED_TEST_ROW = 5, CODED_VERSION = 3 };

uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13; /* Marsaglia, Xorshift RNGs, 2003 */
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static uint32_t crc32_of(const uint8_t *data, size_t n) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; ++i) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void put(uint8_t *at, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) at[i] = (uint8_t)(value >> 8 * i);
}

void mend_checksum(uint8_t *data, size_t size) {
    if (size >= CHECKSUM) put(data + size - CHECKSUM, crc32_of(data, size - CHECKSUM), CHECKSUM);
}

/* Floats, halves, integers and counts at the edges of what is allowed. */
static const uint32_t extremes[] = {
    0,          1,          2,          3,          4,          5,
    16,         17,         32,         256,        257,        0xff,
    0xffff,     0x7f,       0x80,       0x81,       0x80808080, 0x81818181,
    0x7f7f7f7f, 0x7fffffff, 0x80000000, 0xffffffff, 0x00ffffff, 0x01000000,
    0x7fc00000 /* NaN */,   0x7f800000 /* inf */,   0xff800000, 0x7f7fffff /* largest */,
    0x42800000 /* 64 */,    0x427fffff,             0x2b800000 /* 2^-40 */,
    0x2b7fffff,             0x00000001,             0x7c007c00 /* halves: inf */,
    0x7e007e00,             0x7bff7bff};

static uint32_t extreme(uint32_t *state) {
    const uint32_t random = next_random(state);
    return random & 1 ? next_random(state)
                      : extremes[(random >> 1) % (sizeof extremes / sizeof *extremes)];
}

static size_t place_in(size_t first, size_t end, uint32_t *state) {
    return first < end ? first + next_random(state) % (end - first) : end;
}

static int is_coded(const uint8_t *data) { return data[4] == CODED_VERSION; }

static size_t numbers_of(const uint8_t *data) {
    return ((size_t)data[9] + data[10]) * (is_coded(data) ? 1 : 2);
}

/* A field of the header, a width, an exit or the payload's length. */
static void damage_header(uint8_t *data, size_t size, uint32_t *state) {
    const size_t end = HEADER + numbers_of(data) + 4;
    const size_t at = place_in(4, end < size ? end : size, state);
    const int bytes = at < HEADER ? 1 : next_random(state) % 2 ? 2 : 4;
    if (at + bytes <= size) put(data + at, extreme(state), bytes);
}

static void damage_number(uint8_t *data, size_t first, size_t size, uint32_t *state) {
    const int bytes = 1 << next_random(state) % 3;
    const size_t at = place_in(first, size, state);
    if (at + bytes <= size) put(data + at, extreme(state), bytes);
}

/* Many numbers at once, to break the bound on sums. */
static void fill_payload(uint8_t *data, size_t first, size_t size, uint32_t *state) {
    const size_t from = place_in(first, size, state), to = place_in(from, size, state);
    memset(data + from, (int)(extreme(state) & 0xff), to - from);
}

/* Two bytes change places: of a bitmap, as many weights are stored as before. */
static void swap_bytes(uint8_t *data, size_t first, size_t size, uint32_t *state) {
    const size_t a = place_in(first, size, state);
    const size_t b = place_in(a, a + 8 < size ? a + 8 : size, state);
    if (b >= size) return;
    const uint8_t kept = data[a];
    data[a] = data[b];
    data[b] = kept;
}

static size_t change_length(uint8_t *data, size_t size, size_t most, uint32_t *state) {
    const size_t at = place_in(0, size, state);
    size_t change = 1 + next_random(state) % (next_random(state) % 4 ? 4 : TEST_ROW + 1);
    if (next_random(state) % 2) {
        if (change > size - at) change = size - at;
        memmove(data + at, data + at + change, size - at - change);
        return size - change;
    }
    if (change > most - size) change = most - size;
    memmove(data + at + change, data + at, size - at);
    return size + change;
}

/* Ends within the header, or soon behind it: what is declared there is missing. */
static size_t cut_short(const uint8_t *data, size_t size, uint32_t *state) {
    const size_t least = HEADER + CHECKSUM, most = HEADER + numbers_of(data) + 2 * CHECKSUM + 2;
    return place_in(least, most < size ? most : size, state);
}

/* The last rows: the path of a self-test, or its samples. */
static void damage_test(uint8_t *data, size_t size, uint32_t *state) {
    const size_t row = is_coded(data) ? CODED_TEST_ROW : TEST_ROW;
    const size_t rows = data[11] * row + CHECKSUM;
    if (rows + HEADER < size) damage_number(data, size - rows, size - CHECKSUM, state);
}

size_t mutate_blob(uint8_t *data, size_t size, size_t most, uint32_t random) {
    uint32_t state = random | 1;
    next_random(&state);
    if (size < HEADER + 4 + CHECKSUM) return size;
    const size_t payload = HEADER + numbers_of(data) + 4;
    const size_t first = payload < size ? payload : size;
    switch (next_random(&state) % 10) {
        case 0:
        case 1: damage_header(data, size, &state); break;
        case 2: fill_payload(data, first, size, &state); break;
        case 3: return change_length(data, size, most, &state);
        case 4: return cut_short(data, size, &state);
        case 5: damage_test(data, size, &state); break;
        case 6: swap_bytes(data, first, size, &state); break;
        default: damage_number(data, first, size, &state);
    }
    return size;
}
