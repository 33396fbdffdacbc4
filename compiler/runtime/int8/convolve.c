/* A layer's columns on the kernels of a version. */
#include "kernels.h"

typedef psr_conv_kernel *const kernel_table[2][PSR_TILE_SHAPES];

/* Outputs of `blocks` blocks from block b on: of HR pixels each row's blocks lie in its own plane
 * of the value, side by side. */
static void convolve_blocks(const psr_io *io, const psr_conv *conv, kernel_table *kernels,
                            const psr_plane *src, const int32_t *rows, const psr_plane *dst,
                            uint8_t *out, int32_t b, int32_t blocks, int32_t n) {
    const psr_version *version = io->version;
    const int32_t per_row = conv->phase_blocks ? conv->phase_blocks : 1;
    const int32_t unit = conv->phase_blocks ? (int32_t)sizeof(psr_sum) : 1;
    const int32_t beside = PSR_BLOCK * unit, step = per_row == 1 ? dst->block : beside;
    const int32_t hr_row = per_row == 1 ? b : b / per_row;
    out += (ptrdiff_t)hr_row * dst->block + (ptrdiff_t)(b - hr_row * per_row) * beside;
    int32_t done = 0;
    for (int shape = 0; shape < PSR_TILE_SHAPES && done < n; ++shape) {
        const int32_t tiles = psr_tiles(version->tile_pixels[blocks - 1], shape, n - done);
        if (tiles == 0) continue;
        kernels[conv->in_channels == PSR_BLOCK][blocks - 1][shape](
            src->data + (ptrdiff_t)done * src->pixel, rows,
            conv->weights + (size_t)b * conv->weight_bytes_per_block, conv->bias + b * PSR_BLOCK,
            conv->scale + b * PSR_BLOCK, out + (ptrdiff_t)done * dst->pixel, conv->window,
            conv->window, conv->in_groups, src->block, tiles, dst->pixel / unit, step / unit);
        done += tiles * version->tile_pixels[blocks - 1][shape];
    }
}

void psr_convolve_span(const psr_io *io, int32_t number, const psr_plane *src, const psr_plane *dst,
                       const psr_plane *adds, int relu, int32_t y, int32_t x, int32_t n) {
    (void)adds, (void)relu; /* a hidden layer's lower bound is its ReLU */
    const psr_conv *conv = &io->convs[number];
    const psr_version *version = io->version;
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; k < conv->window; ++k)
        rows[k] = psr_offset(src, io, y - conv->window / 2 + k, x - conv->window / 2);
    const int32_t most = version->group_blocks;
    /* Backwards: what a block writes too much lies where the first block of the next place goes. */
    for (int32_t end = conv->out_blocks, blocks; end > 0; end -= blocks) {
        blocks = most == 1 || end % 2 ? 1 : 2;
        convolve_blocks(io, conv, conv->phase_blocks ? version->detail : version->hidden, src, rows,
                        dst, psr_at(dst, io, y, x), end - blocks, blocks, n);
    }
}
