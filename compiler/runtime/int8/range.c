#include "range.h"

static const uint32_t LEAST_RANGE = 1u << 24;
enum { EVEN = 1 << 15, MEMORY = 64, ZEROS = 3 };

static uint32_t next_byte(psr_range *from) {
    if (from->next < from->end) return *from->next++;
    if (++from->zeros > ZEROS) from->is_broken = 1;
    return 0;
}

void psr_range_begin(psr_range *from, const uint8_t *data, size_t n, psr_chance *chances,
                     size_t n_chances) {
    *from = (psr_range){.next = data, .end = data + n, .range = UINT32_MAX};
    for (int i = 0; i < 4; ++i) from->code = from->code << 8 | next_byte(from);
    if (from->code == UINT32_MAX) from->is_broken = 1;
    for (size_t i = 0; i < n_chances; ++i) chances[i] = (psr_chance){EVEN, 0};
}

/* Narrows the range to `bound` for a one, to the rest for a zero. */
static int split(psr_range *from, uint32_t bound) {
    const int bit = from->code < bound;
    if (bit) {
        from->range = bound;
    } else {
        from->code -= bound;
        from->range -= bound;
    }
    while (from->range < LEAST_RANGE) {
        from->range <<= 8;
        from->code = from->code << 8 | next_byte(from);
    }
    return bit;
}

int psr_range_bit(psr_range *from, psr_chance *chance) {
    const uint32_t ones = chance->ones, divisor = 2u * chance->uses + 3;
    const int bit = split(from, (from->range >> 16) * ones);
    chance->ones = (uint16_t)(bit ? ones + 2 * (65536 - ones) / divisor : ones - 2 * ones / divisor);
    chance->uses += chance->uses < MEMORY;
    return bit;
}

uint32_t psr_range_even_bits(psr_range *from, int count) {
    uint32_t value = 0;
    while (count--) value = value << 1 | (uint32_t)split(from, from->range >> 1);
    return value;
}

int32_t psr_range_number(psr_range *from, psr_chance *chances) {
    int length = 0;
    while (psr_range_bit(from, &chances[length]))
        if (++length == PSR_NUMBER_CHANCES - 1) {
            from->is_broken = 1;
            return 0;
        }
    return (int32_t)(1u << length | psr_range_even_bits(from, length)) - 1;
}

int32_t psr_range_signed(psr_range *from, psr_chance *chances) {
    if (!psr_range_bit(from, &chances[0])) return 0;
    const int is_negative = psr_range_bit(from, &chances[1]);
    const int32_t size = 1 + psr_range_number(from, chances + 2);
    return is_negative ? -size : size;
}

/* An encoder's last byte has three zeros behind it and is the first that leads into the interval:
 * less than a step of that byte is left of the code. */
int psr_range_is_whole(const psr_range *from) {
    return !from->is_broken && from->zeros == ZEROS && from->code < LEAST_RANGE;
}
