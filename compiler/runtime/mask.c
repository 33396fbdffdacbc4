/* Spans of needed columns, by a bit for every PSR_UNIT columns. */
#include "mask.h"

#include <string.h>

#include "planes.h"

static int32_t between(int32_t value, int32_t least, int32_t most) {
    return value < least ? least : value > most ? most : value;
}

static void set_units(uint64_t *bits, int32_t first, int32_t end) {
    for (int32_t word = first / 64; word * 64 < end; ++word) {
        const int32_t from = first > word * 64 ? first - word * 64 : 0;
        const int32_t to = end < word * 64 + 64 ? end - word * 64 : 64;
        const uint64_t below = to == 64 ? ~UINT64_C(0) : (UINT64_C(1) << to) - 1;
        bits[word] |= below & ~((UINT64_C(1) << from) - 1);
    }
}

/* Sets the units within `reach` of the patches of `path` in rows y - reach .. y + reach. */
static void add_path(psr_spans *spans, const psr_io *io, int32_t y, int32_t path, int32_t reach) {
    const psr_mask *mask = io->mask;
    const int32_t top = between(io->y + y - reach, 0, mask->h - 1);
    const int32_t bottom = between(io->y + y + reach, 0, mask->h - 1);
    const int32_t from = mask->first[mask->band_of_row[top]];
    const int32_t to = mask->first[mask->band_of_row[bottom] + 1];
    for (int32_t i = from; i < to; ++i) {
        const psr_interval *interval = &mask->intervals[i];
        if (interval->path != path) continue;
        const int32_t zero = io->x + spans->left;
        const int32_t x = between(interval->x - reach - zero, 0, spans->end);
        const int32_t end = between(interval->end + reach - zero, 0, spans->end);
        if (x < end) set_units(spans->bits, x / PSR_UNIT, (end + PSR_UNIT - 1) / PSR_UNIT);
    }
}

psr_spans psr_spans_of(const psr_io *io, const psr_plane *plane, int32_t y,
                       const psr_reach *reach, int32_t gap) {
    psr_spans spans;
    spans.left = -plane->margin_x;
    spans.end = io->w + 2 * plane->margin_x;
    spans.unit = 0;
    spans.gap = gap;
    spans.units = (spans.end + PSR_UNIT - 1) / PSR_UNIT;
    for (int32_t word = 0; word * 64 < spans.units; ++word) spans.bits[word] = 0;
    if (!io->mask) set_units(spans.bits, 0, spans.units);
    for (int32_t path = 0; io->mask && path < PSR_PATHS; ++path)
        if (reach->of[path] >= 0) add_path(&spans, io, y, path, reach->of[path]);
    return spans;
}

/* The first unit from `unit` on whose bit is `wanted`, or `units`. */
static int32_t find_unit(const psr_spans *spans, int32_t unit, int wanted) {
    while (unit < spans->units) {
        const uint64_t word = spans->bits[unit / 64], found = (wanted ? word : ~word) >> unit % 64;
        if (found) return between(unit + __builtin_ctzll(found), 0, spans->units);
        unit = (unit / 64 + 1) * 64;
    }
    return spans->units;
}

int psr_next_span(psr_spans *spans) {
    const int32_t first = find_unit(spans, spans->unit, 1);
    if (first >= spans->units) return 0;
    int32_t end = find_unit(spans, first, 0), next = find_unit(spans, end, 1);
    while (next < spans->units && next - end <= spans->gap) {
        end = find_unit(spans, next, 0);
        next = find_unit(spans, end, 1);
    }
    spans->unit = next;
    spans->x = spans->left + first * PSR_UNIT;
    spans->n = (end - first) * PSR_UNIT;
    if (first * PSR_UNIT + spans->n > spans->end) spans->n = spans->end - first * PSR_UNIT;
    return 1;
}

void psr_clear_bicubic(const psr_io *io, const psr_plane *plane, int32_t blocks, int32_t y) {
    if (!io->mask) return;
    const psr_mask *mask = io->mask;
    const int32_t band = mask->band_of_row[io->y + y];
    for (int32_t i = mask->first[band]; i < mask->first[band + 1]; ++i) {
        const psr_interval *interval = &mask->intervals[i];
        const int32_t x = between(interval->x - io->x, 0, io->w);
        const int32_t end = between(interval->end - io->x, 0, io->w);
        if (interval->path != PSR_PATH_BICUBIC) continue;
        for (int32_t b = 0; b < blocks; ++b)
            memset((uint8_t *)psr_at(plane, io, y, x) + (ptrdiff_t)b * plane->block, 0,
                   (size_t)(end - x) * plane->pixel);
    }
}
