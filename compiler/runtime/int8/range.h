/* The range coder of player/package/range_coder.py in C, the half that reads. */
#ifndef PSR_RANGE_H
#define PSR_RANGE_H

#include <stddef.h>
#include <stdint.h>

enum {
    PSR_NUMBER_CHANCES = 26,                    /* of a number: one for each length in bits */
    PSR_SIGNED_CHANCES = 2 + PSR_NUMBER_CHANCES /* of a number of either sign */
};

/* The probability of a one, in 1/65536, and how often it was used, as far as that is counted. */
typedef struct {
    uint16_t ones, uses;
} psr_chance;

/* Behind the last byte it reads zeros; then, and where a number is too large, it is broken. */
typedef struct {
    const uint8_t *next, *end;
    uint32_t range, code;
    int32_t zeros; /* read behind the end */
    int32_t is_broken;
} psr_range;

void psr_range_begin(psr_range *from, const uint8_t *data, size_t n, psr_chance *chances,
                     size_t n_chances);
int psr_range_bit(psr_range *from, psr_chance *chance);
uint32_t psr_range_even_bits(psr_range *from, int count);
int32_t psr_range_number(psr_range *from, psr_chance *chances);
int32_t psr_range_signed(psr_range *from, psr_chance *chances);
/* Whether the bytes were what an encoder makes of what was read. */
int psr_range_is_whole(const psr_range *from);

#endif
