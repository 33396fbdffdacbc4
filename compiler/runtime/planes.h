/* Rows of a plane: the same in every number format. */
#ifndef PSR_PLANES_H
#define PSR_PLANES_H

#include "internal.h"

static inline int psr_is_outside(const psr_plane *plane, const psr_io *io, int32_t y) {
    return y < -plane->margin_y || y >= io->h + plane->margin_y;
}

/* Byte of column x (0 is the patch's first) of row y; margins keep y + halo + 2 above 0. */
static inline int32_t psr_offset(const psr_plane *plane, const psr_io *io, int32_t y, int32_t x) {
    return (y + io->halo) % plane->ring * plane->row + (x + plane->margin_x) * plane->pixel;
}

static inline void *psr_at(const psr_plane *plane, const psr_io *io, int32_t y, int32_t x) {
    return plane->data + psr_offset(plane, io, y, x);
}

static inline const uint8_t *psr_lr_row(const psr_io *io, int32_t y) {
    return io->lr + (ptrdiff_t)(y + io->halo) * io->lr_stride;
}

static inline uint8_t *psr_hr_row(const psr_io *io, int32_t y, int32_t dy) {
    return io->hr + ((ptrdiff_t)y * io->scale + dy) * io->hr_stride;
}

/* Channel o = (colour, dy, dx) of pixel shuffle -> its place in [dx][colour] of phase dy. */
static inline int32_t psr_phase_of(int32_t o, int32_t scale) { return o / scale % scale; }

static inline int32_t psr_place_in_phase(int32_t o, int32_t scale) {
    return o % scale * 3 + o / (scale * scale);
}

/* With which tiles a row of n pixels is covered: the widest first, the last runs over. */
static inline int32_t psr_tiles(const int32_t *pixels, int shape, int32_t left) {
    const int last = shape == PSR_TILE_SHAPES - 1;
    return last ? (left + pixels[shape] - 1) / pixels[shape] : left / pixels[shape];
}

#endif
