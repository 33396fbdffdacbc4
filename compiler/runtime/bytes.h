/* Numbers out of a blob: little endian, wherever they lie. */
#ifndef PSR_BYTES_H
#define PSR_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t psr_read_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline int16_t psr_read_s16(const uint8_t *p) {
    const uint16_t bits = psr_read_u16(p);
    int16_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t psr_read_u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline int32_t psr_read_s32(const uint8_t *p) {
    const uint32_t bits = psr_read_u32(p);
    int32_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float psr_read_f32(const uint8_t *p) {
    const uint32_t bits = psr_read_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void psr_write_u32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; ++i) p[i] = (uint8_t)(value >> 8 * i);
}

/* blob.c: zlib's CRC-32. */
uint32_t psr_crc32(const uint8_t *data, size_t n);

#endif
