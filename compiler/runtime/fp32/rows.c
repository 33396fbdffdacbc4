/* The steps of a plan: rings of rows on one side, kernels for one row on the other. */
#include <string.h>

#include "kernels.h"

enum { FLOAT = sizeof(float) };

void psr_load(const psr_io *io, const psr_plane *dst, int32_t y) {
    io->version->load(psr_lr_row(io, y), psr_at(dst, io, y, -dst->margin_x), io->w + 2 * io->halo);
}

/* Covers n pixels of some blocks of outputs. */
static void convolve_group(const psr_io *io, const psr_conv *conv, int32_t group,
                           const float *weights, const float *bias, const psr_plane *src,
                           const int32_t *rows, const psr_plane *dst, float *out,
                           const psr_plane *adds, const float *added, int32_t n, float floor) {
    const psr_version *version = io->version;
    psr_conv_kernel *const *kernels = version->conv[conv->in_channels == PSR_BLOCK][group - 1];
    const int32_t dst_pixel = dst->pixel / FLOAT, adds_pixel = adds ? adds->pixel / FLOAT : 0;
    const float *in = (const float *)src->data;
    int32_t done = 0;
    for (int shape = 0; shape < PSR_TILE_SHAPES && done < n; ++shape) {
        const int32_t tiles = psr_tiles(version->tile_pixels, shape, n - done);
        if (tiles == 0) continue;
        kernels[shape](in + (ptrdiff_t)done * conv->in_channels, rows, weights, bias,
                       added ? added + (ptrdiff_t)done * adds_pixel : out,
                       out + (ptrdiff_t)done * dst_pixel, conv->window_h, conv->window_w,
                       conv->in_blocks, src->block / FLOAT, tiles, dst_pixel, dst->block / FLOAT,
                       adds_pixel, adds ? adds->block / FLOAT : 0, added != NULL, floor);
        done += tiles * version->tile_pixels[shape];
    }
}

/* `n` columns of a row from x on. */
static void convolve_span(const psr_io *io, const psr_conv *conv, const psr_plane *src,
                          const psr_plane *dst, const psr_plane *adds, int32_t y, float floor,
                          int32_t x, int32_t n) {
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; k < conv->window_h; ++k)
        rows[k] = psr_offset(src, io, y - conv->window_h / 2 + k, x - conv->window_w / 2) / FLOAT;
    float *out = psr_at(dst, io, y, x);
    const float *added = adds ? psr_at(adds, io, y, x) : NULL;
    const ptrdiff_t depth = conv->in_channels == PSR_PIXEL ? 3 : PSR_BLOCK;
    const ptrdiff_t weights_per_block =
        depth * conv->in_blocks * conv->window_h * conv->window_w * PSR_BLOCK;
    for (int32_t b = 0, group; b < conv->out_blocks; b += group) {
        group = conv->out_blocks - b < io->version->group_blocks ? 1 : io->version->group_blocks;
        convolve_group(io, conv, group, conv->weights + b * weights_per_block,
                       conv->bias + b * PSR_BLOCK, src, rows, dst,
                       out + (ptrdiff_t)b * dst->block / FLOAT, adds,
                       added ? added + (ptrdiff_t)b * adds->block / FLOAT : NULL, n, floor);
    }
}

void psr_convolve(const psr_io *io, int32_t number, const psr_plane *src, const psr_plane *dst,
                  const psr_plane *adds, int32_t y, float floor, psr_reach reach) {
    if (psr_is_outside(dst, io, y)) return;
    const int is_exit = floor < 0; /* exits write one plane, each its own columns */
    psr_spans spans = psr_spans_of(io, dst, y, reach, is_exit ? 0 : PSR_GAP);
    while (psr_next_span(&spans))
        convolve_span(io, &io->convs[number], src, dst, adds, y, floor, spans.x, spans.n);
}

void psr_store(const psr_io *io, const psr_plane *residual, const psr_plane *anchor,
               const psr_plane *row, int32_t y) {
    if (y < 0 || y >= io->h) return;
    const psr_version *version = io->version;
    const float *from = anchor ? (const float *)anchor->data : NULL;
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; anchor && k < PSR_TAPS; ++k)
        rows[k] = psr_offset(anchor, io, y - PSR_TAPS / 2 + k, 0) / FLOAT;
    if (residual) psr_clear_bicubic(io, residual, 1, y);
    const float *added = residual ? psr_at(residual, io, y, 0) : NULL;
    const int32_t step = 3 * io->scale, pixel = residual ? residual->pixel / FLOAT : 0;
    for (int32_t dy = 0; dy < io->scale; ++dy) {
        const float *taps = psr_bicubic_taps[io->scale][dy];
        if (anchor && added)
            version->store_sum(from, rows, taps, added + dy * step, row->data, io->w, pixel, step);
        else if (anchor)
            version->store_anchor(from, rows, taps, row->data, io->w, step);
        else
            version->store_residual(added + dy * step, row->data, io->w, pixel, step);
        memcpy(psr_hr_row(io, y, dy), row->data, (size_t)io->w * (size_t)step);
    }
}
