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

/* Row dy of a row of places, from column x on. */
static inline const uint8_t *psr_lr_row(const psr_io *io, int32_t y, int32_t dy, int32_t x) {
    const int32_t u = io->arch->units;
    return io->lr + ((ptrdiff_t)(y + io->halo) * u + dy) * io->lr_stride +
           3 * (ptrdiff_t)(x + io->halo) * u;
}

/* Plane i = (colour, dy, dx) of a unit -> its place in [dy][dx][colour]. */
static inline int32_t psr_place_in_unit(int32_t i, int32_t units) {
    return (i / units % units * units + i % units) * 3 + i / (units * units);
}

/* Blocks of output that one HR row of a place takes: an even number where there are several, so
 * that kernels which compute two at a time do not straddle rows. */
static inline int32_t psr_phase_blocks(int32_t side) {
    const int32_t blocks = (3 * side + PSR_BLOCK - 1) / PSR_BLOCK;
    return blocks == 1 ? 1 : (blocks + 1) / 2 * 2;
}

/* Channel o = (colour, dy, dx) of pixel shuffle -> its output: [dy][dx][colour], each dy in blocks
 * of its own. */
static inline int32_t psr_place_in_detail(int32_t o, int32_t side) {
    const int32_t dy = o / side % side, place = o % side * 3 + o / (side * side);
    return dy * psr_phase_blocks(side) * PSR_BLOCK + place;
}

/* Blocks of output of a convolution. */
static inline int32_t psr_out_blocks(const psr_conv_spec *spec, int32_t side) {
    if (spec->shuffled) return side * psr_phase_blocks(side);
    return (spec->out + PSR_BLOCK - 1) / PSR_BLOCK;
}

/* With which tiles a row of n places is covered: the widest first, the last runs over. */
static inline int32_t psr_tiles(const int32_t *pixels, int shape, int32_t left) {
    const int last = shape == PSR_TILE_SHAPES - 1;
    return last ? (left + pixels[shape] - 1) / pixels[shape] : left / pixels[shape];
}

#endif
