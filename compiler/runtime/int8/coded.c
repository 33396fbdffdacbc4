#include "coded.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "range.h"

enum {
    LEVELS = 24, FIRST_LEVEL = 4, /* of expected magnitudes: from 2^-6 on, two an octave */
    PLAIN = 15,                   /* steps of a magnitude with a bit each */
    MOST_WEIGHT = 127,
    ONE = 256, /* a magnitude of 1, in means */
    FAITH = 2, /* weights that a mean counts for before any of its own is seen */
    PLACES = 46 << 3, FIRST_PLACE = PLACES * 3 / 4, /* of a multiplier on its grid */
    LOWEST_PLACE = (127 - 40) << 3,                 /* in the bits of a float, shifted by: */
    PLACE_SHIFT = 23 - 3,
    LEAST_EXPONENT = -40, PRECISION_BITS = 7, MOST_UNIT_BITS = 31,
    MOST_SUM = 1 << 24
};

/* Where the chances of each kind begin. */
enum {
    BITS = 3, /* of a level: above 0, above 1, above more */
    ESCAPE = LEVELS * BITS,
    SIGNS = ESCAPE + PSR_NUMBER_CHANCES,
    SIGNS_OF_KIND = 3 * 3, /* of windows of one place, then of wider ones */
    MULTIPLIERS = SIGNS + 2 * SIGNS_OF_KIND,
    BIASES = MULTIPLIERS + PSR_SIGNED_CHANCES, /* of outputs with weights, then of those without */
    CHANCES = BIASES + 2 * PSR_SIGNED_CHANCES
};

struct psr_coded {
    psr_range range;
    psr_chance chances[CHANCES];
    const psr_arch *arch;
    int32_t next, place;
    uint32_t sums[PSR_MAX_DEPTH][PSR_MAX_WIDTH]; /* of each output of the trunk: magnitudes */
    /* The convolution that is being read. */
    const psr_conv_spec *spec;
    const uint32_t *source; /* sums of the outputs that it reads; NULL: pixels */
    uint64_t source_sum, sum, count;
    uint32_t columns[PSR_MAX_WIDTH]; /* of each input: magnitudes */
    int8_t *weights;
};

psr_coded *psr_coded_open(const psr_blob *blob) {
    psr_coded *coded = calloc(1, sizeof *coded);
    if (!coded) return NULL;
    coded->arch = &blob->arch;
    coded->place = FIRST_PLACE;
    psr_range_begin(&coded->range, blob->payload, blob->payload_bytes, coded->chances, CHANCES);
    return coded;
}

/* The logarithm of a number from 1 on, in 1/32, straight between powers of two. */
static int32_t log2_of(uint64_t value) {
    const int32_t whole = 63 - __builtin_clzll(value);
    return whole << 5 | (int32_t)(value << 5 >> whole & 31);
}

/* Of the mean of input i over the mean of all. */
static int32_t log2_of_column(const psr_coded *coded, int32_t output, int32_t i, uint64_t mean) {
    const int32_t taps = coded->spec->window * coded->spec->window;
    uint64_t likely = mean;
    if (coded->source) {
        const uint64_t most = coded->source_sum ? coded->source_sum : 1;
        likely = mean * coded->source[i] * coded->spec->in / most;
        if (likely > 2 * mean) likely = 2 * mean;
    }
    return log2_of(ONE * (uint64_t)coded->columns[i] + FAITH * likely + 1) -
           log2_of((uint64_t)output * taps + FAITH) - log2_of(mean);
}

/* By the signs of the weight before, and of the one a line before, in the same filter: of its
 * window, or of the outputs of a window of one place. */
static psr_chance *sign_chance(psr_coded *coded, size_t at, int32_t output, int32_t tap) {
    const int is_wide = coded->spec->window > 1;
    const int32_t place = is_wide ? tap : output;
    const int32_t steps[2] = {1, is_wide ? coded->spec->window : coded->spec->out / 3};
    const size_t near = is_wide ? 1 : coded->spec->in;
    int context = 0;
    for (int i = 0; i < 2; ++i) {
        const int before = place >= steps[i] ? coded->weights[at - steps[i] * near] : 0;
        context = 3 * context + (before > 0) - (before < 0) + 1;
    }
    return &coded->chances[SIGNS + SIGNS_OF_KIND * is_wide + context];
}

static uint32_t read_size(psr_coded *coded, int32_t level) {
    const int32_t low = level >> 1 > 7 ? (level >> 1) - 7 : 0;
    psr_chance *bits = &coded->chances[level * BITS];
    uint32_t steps = 0;
    while (steps < PLAIN && psr_range_bit(&coded->range, &bits[steps < BITS ? steps : BITS - 1]))
        ++steps;
    if (steps == PLAIN) steps += (uint32_t)psr_range_number(&coded->range, &coded->chances[ESCAPE]);
    const uint32_t size = steps << low | psr_range_even_bits(&coded->range, low);
    if (size <= MOST_WEIGHT) return size;
    coded->range.is_broken = 1;
    return 0;
}

static int32_t level_of(int32_t log2_of_size) {
    const int32_t level = (log2_of_size >> 4) - FIRST_LEVEL;
    return level < 0 ? 0 : level < LEVELS ? level : LEVELS - 1;
}

/* The weights of an output; returns the sum of their magnitudes. */
static uint32_t read_output(psr_coded *coded, int32_t output) {
    const int32_t taps = coded->spec->window * coded->spec->window;
    const size_t first = (size_t)output * coded->spec->in * taps;
    uint32_t row = 0, seen = 0;
    for (int32_t i = 0; i < coded->spec->in; ++i) {
        const uint64_t mean = ONE * (coded->sum + 1) / (coded->count + 1) + 1;
        const int32_t column = log2_of_column(coded, output, i, mean);
        const uint32_t before = row;
        for (int32_t tap = 0; tap < taps; ++tap, ++seen) {
            const int32_t of_row = log2_of(ONE * (uint64_t)row + FAITH * mean) - log2_of(seen + FAITH);
            const int32_t size = (int32_t)read_size(coded, level_of(column + of_row));
            const int is_negative =
                size && psr_range_bit(&coded->range, sign_chance(coded, first + seen, output, tap));
            coded->weights[first + seen] = (int8_t)(is_negative ? -size : size);
            row += (uint32_t)size;
        }
        coded->columns[i] += row - before;
        coded->sum += row - before;
        coded->count += (uint64_t)taps;
    }
    return row;
}

static int32_t exponent_of(int32_t place) { return (place >> 3) + LEAST_EXPONENT; }

/* How far a bias may be shifted down, in the precision that counts from its multiplier. */
static int32_t precision_of(int32_t bias, int32_t place) {
    int32_t zeros = 0;
    while (!(bias >> zeros & 1)) ++zeros;
    return zeros + exponent_of(place);
}

/* The multiplier's place, and the bias behind it; 0 where one of them is out of its bounds. */
static int read_scaling(psr_coded *coded, int32_t precision, int is_idle, int32_t *bias) {
    coded->place += psr_range_signed(&coded->range, &coded->chances[MULTIPLIERS]);
    if (coded->place < 0 || coded->place >= PLACES) return 0;
    int32_t unit = precision - exponent_of(coded->place);
    unit = unit < 0 ? 0 : unit > MOST_UNIT_BITS ? MOST_UNIT_BITS : unit;
    psr_chance *chances = &coded->chances[BIASES + is_idle * PSR_SIGNED_CHANCES];
    const int64_t units = psr_range_signed(&coded->range, chances);
    const int64_t whole = units * ((int64_t)1 << unit);
    *bias = (int32_t)whole;
    return whole > -MOST_SUM && whole < MOST_SUM;
}

/* What the convolution reads, if its own place is `conv` (player/package/architecture.py). */
static void begin(psr_coded *coded, int32_t conv) {
    const psr_arch *arch = coded->arch;
    const int32_t depth = arch->n_widths, reads = conv < depth ? conv : arch->exits[conv - depth];
    coded->spec = &arch->convs[conv];
    coded->source = reads ? coded->sums[reads - 1] : NULL;
    coded->source_sum = coded->sum = coded->count = 0;
    for (int32_t i = 0; reads && i < coded->spec->in; ++i) coded->source_sum += coded->source[i];
    memset(coded->columns, 0, sizeof coded->columns);
}

int psr_coded_next(psr_coded *coded, uint8_t *dense) {
    const int32_t conv = coded->next++;
    begin(coded, conv);
    const psr_conv_spec *spec = coded->spec;
    const size_t weights = (size_t)spec->out * spec->in * spec->window * spec->window;
    uint8_t *biases = dense + weights, *multipliers = biases + 4 * (size_t)spec->out;
    coded->weights = (int8_t *)dense;
    const int32_t precision =
        (int32_t)psr_range_even_bits(&coded->range, PRECISION_BITS) + LEAST_EXPONENT;
    int32_t found = INT32_MAX; /* the precision of the biases that are read */
    for (int32_t o = 0; o < spec->out; ++o) {
        const uint32_t sum = read_output(coded, o);
        int32_t bias;
        if (!read_scaling(coded, precision, !sum, &bias)) return PSR_E_FORMAT;
        if (conv < coded->arch->n_widths) coded->sums[conv][o] = sum;
        if (bias && precision_of(bias, coded->place) < found)
            found = precision_of(bias, coded->place);
        psr_write_u32(biases + 4 * (size_t)o, (uint32_t)bias);
        psr_write_u32(multipliers + 4 * (size_t)o,
                      (uint32_t)(coded->place + LOWEST_PLACE) << PLACE_SHIFT);
    }
    /* The same integers are the same bytes. */
    if (precision != (found == INT32_MAX ? LEAST_EXPONENT : found)) return PSR_E_FORMAT;
    return coded->range.is_broken ? PSR_E_FORMAT : PSR_OK;
}

int psr_coded_is_whole(const psr_coded *coded) { return psr_range_is_whole(&coded->range); }

void psr_coded_close(psr_coded *coded) { free(coded); }
