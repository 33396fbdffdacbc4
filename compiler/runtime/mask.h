/* Which columns of a row are needed, where the patches of a frame take different paths.
 *
 * All paths run in one loop over rows. A layer computes a column only where it lies within reach
 * of a patch whose path reads it: the margin that its value has in that path's own plan.
 */
#ifndef PSR_MASK_H
#define PSR_MASK_H

#include "internal.h"

enum {
    PSR_GAP = 2,  /* units: spans that near cost less as one, where what lies between is nobody's */
    PSR_UNIT = 4, /* columns that are computed or left out together; patches start at multiples */
    PSR_MASK_WORDS = PSR_MAX_SIDE / PSR_UNIT / 64 + 1
};

/* Columns x <= .. < end of a band of rows; in the frame's pixels. */
typedef struct {
    int32_t x, end, path;
} psr_interval;

struct psr_mask {
    const int32_t *band_of_row;       /* for each row of the frame */
    const int32_t *first;             /* of each band: its intervals end where the next band's begin */
    const psr_interval *intervals;
    int32_t h;
};

/* Spans of columns, left to right, in the patch's pixels; spans are multiples of PSR_UNIT. */
typedef struct {
    int32_t x, n;
    uint64_t bits[PSR_MASK_WORDS];
    int32_t unit, units, gap, left, end;
} psr_spans;

/* The columns of row y that lie within reach; the whole row where the frame has no mask. Spans
 * with `gap` units between them become one. */
psr_spans psr_spans_of(const psr_io *io, const psr_plane *plane, int32_t y,
                       const psr_reach *reach, int32_t gap);

/* Moves on to the next span; returns 0 after the last. */
int psr_next_span(psr_spans *spans);

/* Zeroes the columns of row y, in each block, that patches on the bicubic path have: they add
 * nothing to the anchor. Does nothing where the frame has no mask. */
void psr_clear_bicubic(const psr_io *io, const psr_plane *plane, int32_t blocks, int32_t y);

#endif
