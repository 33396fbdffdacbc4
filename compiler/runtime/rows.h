/* The steps of a plan: each computes one row `y` of a value, or nothing outside its margin. Where
 * the frame has a mask, only the columns within reach. */
#ifndef PSR_ROWS_H
#define PSR_ROWS_H

#include "planes.h"

void psr_load(const psr_io *io, const psr_plane *dst, int32_t y);
void psr_load_pixels(const psr_io *io, const psr_plane *dst, int32_t y);
void psr_anchor(const psr_io *io, const psr_plane *src, const psr_plane *dst, int32_t y);

/* A layer whose outputs are numbers of a hidden value, and one whose outputs are HR pixels; `adds`
 * may be NULL. */
void psr_convolve(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                  const psr_plane *adds, int32_t y, int relu, const psr_reach *reach);
void psr_detail(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                const psr_plane *adds, int32_t y, const psr_reach *reach);

/* `detail` or `anchor` may be NULL; at scale 1 the anchor is LR itself. */
void psr_store(const psr_io *io, const psr_plane *detail, const psr_plane *anchor,
               int has_anchor, int32_t y);

#endif
