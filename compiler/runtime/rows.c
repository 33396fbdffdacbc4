/* The steps of a plan: rings of rows on one side, kernels for one row on the other. */
#include <string.h>

#include "internal.h"

void psr_kernel_load(const uint8_t *src, float *dst, int32_t pixels);
void psr_kernel_store_sum(const float *anchor, const int32_t *rows, const float *taps,
                          const float *residual, uint8_t *dst, int32_t pixels,
                          int32_t residual_pixel, int32_t dst_pixel);
void psr_kernel_store_anchor(const float *anchor, const int32_t *rows, const float *taps,
                             uint8_t *dst, int32_t pixels, int32_t dst_pixel);
void psr_kernel_store_residual(const float *residual, uint8_t *dst, int32_t pixels,
                               int32_t residual_pixel, int32_t dst_pixel);

static int is_outside(const psr_plane *plane, const psr_io *io, int32_t y) {
    return y < -plane->margin_y || y >= io->h + plane->margin_y;
}

/* Offset of column x (0 is the patch's first) of row y; margins keep y + halo + 2 above 0. */
static int32_t offset_of(const psr_plane *plane, const psr_io *io, int32_t y, int32_t x) {
    return (y + io->halo) % plane->ring * plane->row + (x + plane->margin_x) * plane->pixel;
}

void psr_load(const psr_io *io, const psr_plane *dst, int32_t y) {
    const uint8_t *src = io->lr + (ptrdiff_t)(y + io->halo) * io->lr_stride;
    psr_kernel_load(src, dst->data + offset_of(dst, io, y, -dst->margin_x), io->w + 2 * io->halo);
}

/* Covers n pixels with the widest tiles first; the last tile may run over into the slack. */
static void convolve_group(const psr_conv *conv, int32_t group, const float *weights,
                           const float *bias, const float *src, const int32_t *rows,
                           int32_t in_stride, const psr_plane *dst, float *out,
                           const psr_plane *adds, const float *added, int32_t n, float floor) {
    psr_conv_kernel *const *kernels =
        psr_conv_kernels[conv->in_channels == PSR_BLOCK][group - 1];
    const int32_t src_pixel = conv->in_channels;
    int32_t done = 0;
    for (int shape = 0; shape < PSR_TILE_SHAPES && done < n; ++shape) {
        const int32_t pixels = psr_tile_pixels[shape], left = n - done;
        const int last = shape == PSR_TILE_SHAPES - 1;
        const int32_t tiles = last ? (left + pixels - 1) / pixels : left / pixels;
        if (tiles == 0) continue;
        kernels[shape](src + (ptrdiff_t)done * src_pixel, rows, weights, bias,
                       added ? added + (ptrdiff_t)done * adds->pixel : out,
                       out + (ptrdiff_t)done * dst->pixel, conv->window_h, conv->window_w,
                       conv->in_blocks, in_stride, tiles, dst->pixel, dst->block,
                       adds ? adds->pixel : 0, adds ? adds->block : 0, added != NULL, floor);
        done += tiles * pixels;
    }
}

void psr_convolve(const psr_conv *conv, const psr_io *io, const psr_plane *src,
                  const psr_plane *dst, const psr_plane *adds, int32_t y, float floor) {
    if (is_outside(dst, io, y)) return;
    int32_t rows[PSR_TAPS];
    const int32_t x = -dst->margin_x, n = io->w + 2 * dst->margin_x;
    for (int32_t k = 0; k < conv->window_h; ++k)
        rows[k] = offset_of(src, io, y - conv->window_h / 2 + k, x - conv->window_w / 2);
    float *out = dst->data + offset_of(dst, io, y, x);
    const float *added = adds ? adds->data + offset_of(adds, io, y, x) : NULL;
    const ptrdiff_t depth = conv->in_channels == PSR_PIXEL ? 3 : PSR_BLOCK;
    const ptrdiff_t weights_per_block =
        depth * conv->in_blocks * conv->window_h * conv->window_w * PSR_BLOCK;
    for (int32_t b = 0, group; b < conv->out_blocks; b += group) {
        group = conv->out_blocks - b < psr_group_blocks ? 1 : psr_group_blocks;
        convolve_group(conv, group, conv->weights + b * weights_per_block,
                       conv->bias + b * PSR_BLOCK, src->data, rows, src->block, dst,
                       out + (ptrdiff_t)b * dst->block, adds,
                       added ? added + (ptrdiff_t)b * adds->block : NULL, n, floor);
    }
}

void psr_store(const psr_io *io, const psr_plane *residual, const psr_plane *anchor,
               const psr_plane *row, int32_t y) {
    if (y < 0 || y >= io->h) return;
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; anchor && k < PSR_TAPS; ++k)
        rows[k] = offset_of(anchor, io, y - PSR_TAPS / 2 + k, 0);
    const float *added = residual ? residual->data + offset_of(residual, io, y, 0) : NULL;
    uint8_t *pixels = (uint8_t *)row->data;
    const int32_t step = 3 * io->scale;
    for (int32_t dy = 0; dy < io->scale; ++dy) {
        const float *taps = psr_bicubic_taps[io->scale][dy];
        if (anchor && added)
            psr_kernel_store_sum(anchor->data, rows, taps, added + dy * step, pixels, io->w,
                                 residual->pixel, step);
        else if (anchor)
            psr_kernel_store_anchor(anchor->data, rows, taps, pixels, io->w, step);
        else
            psr_kernel_store_residual(added + dy * step, pixels, io->w, residual->pixel, step);
        uint8_t *hr = io->hr + ((ptrdiff_t)y * io->scale + dy) * io->hr_stride;
        memcpy(hr, pixels, (size_t)io->w * (size_t)step);
    }
}
