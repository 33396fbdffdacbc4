/* A layer's columns on the kernels of a version. */
#include <math.h>

#include "kernels.h"

enum { FLOAT = sizeof(float) };

/* Where output block b lies from the first one on, in floats: of HR pixels each row's blocks lie in
 * its own plane of the value, side by side. */
static ptrdiff_t block_at(const psr_conv *conv, const psr_plane *plane, int32_t b) {
    const int32_t per_row = conv->phase_blocks ? conv->phase_blocks : 1;
    return (ptrdiff_t)(b / per_row) * plane->block / FLOAT + (ptrdiff_t)(b % per_row) * PSR_BLOCK;
}

static ptrdiff_t weights_per_block(const psr_conv *conv) {
    const ptrdiff_t depth = conv->in_channels == PSR_PIXEL ? 3 : PSR_BLOCK;
    return depth * conv->in_blocks * conv->window * conv->window * PSR_BLOCK;
}

/* Outputs of `blocks` blocks from block b on. `out` and `added` point at the first column. */
static void convolve_blocks(const psr_io *io, const psr_conv *conv, const psr_plane *src,
                            const int32_t *rows, const psr_plane *dst, float *out,
                            const psr_plane *adds, const float *added, int32_t b, int32_t blocks,
                            int32_t n, float floor) {
    const psr_version *version = io->version;
    psr_conv_kernel *const *kernels = version->conv[conv->in_channels == PSR_BLOCK][blocks - 1];
    const int32_t dst_pixel = dst->pixel / FLOAT, adds_pixel = adds ? adds->pixel / FLOAT : 0;
    const int32_t dst_block = (int32_t)(block_at(conv, dst, b + 1) - block_at(conv, dst, b));
    const int32_t adds_block =
        adds ? (int32_t)(block_at(conv, adds, b + 1) - block_at(conv, adds, b)) : 0;
    out += block_at(conv, dst, b);
    if (adds) added += block_at(conv, adds, b);
    int32_t done = 0;
    for (int shape = 0; shape < PSR_TILE_SHAPES && done < n; ++shape) {
        const int32_t tiles = psr_tiles(version->tile_pixels[blocks - 1], shape, n - done);
        if (tiles == 0) continue;
        kernels[shape]((const float *)src->data + (ptrdiff_t)done * src->pixel / FLOAT, rows,
                       conv->weights + b * weights_per_block(conv), conv->bias + b * PSR_BLOCK,
                       adds ? added + (ptrdiff_t)done * adds_pixel : out,
                       out + (ptrdiff_t)done * dst_pixel, conv->window, conv->window,
                       conv->in_blocks, src->block / FLOAT, tiles, dst_pixel, dst_block, adds_pixel,
                       adds_block, adds != NULL, floor);
        done += tiles * version->tile_pixels[blocks - 1][shape];
    }
}

void psr_convolve_span(const psr_io *io, int32_t number, const psr_plane *src, const psr_plane *dst,
                       const psr_plane *adds, int relu, int32_t y, int32_t x, int32_t n) {
    const psr_conv *conv = &io->convs[number];
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; k < conv->window; ++k)
        rows[k] = psr_offset(src, io, y - conv->window / 2 + k, x - conv->window / 2) / FLOAT;
    const float *added = adds ? psr_at(adds, io, y, x) : NULL;
    const int32_t most = io->version->group_blocks;
    /* Backwards: what a block writes too much lies where the first block of the next place goes. */
    for (int32_t end = conv->out_blocks, blocks; end > 0; end -= blocks) {
        blocks = end % most ? 1 : most;
        convolve_blocks(io, conv, src, rows, dst, psr_at(dst, io, y, x), adds, added, end - blocks,
                        blocks, n, relu ? 0.0f : -INFINITY);
    }
}
