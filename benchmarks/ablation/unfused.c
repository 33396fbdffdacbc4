/* The rows of passes over memory; what is computed is in kernels.py. */
#include "unfused.h"

#include <string.h>

static const int32_t no_bias[2 * PSR_BLOCK]; /* it is a pass's work */

static const unfused_kernels *kernels_of(const psr_io *io) {
    const char *name = psr_version_name(io->version);
    for (int32_t i = 0; i < unfused_n_versions; ++i)
        if (strcmp(unfused_versions[i].version, name) == 0) return &unfused_versions[i];
    return NULL;
}

static int32_t columns_of(const psr_io *io, const psr_plane *plane) {
    return io->w + 2 * plane->margin_x;
}

/* One group of output blocks: the row in tiles of falling width. */
static void sum_group(const psr_io *io, const psr_conv *conv, int32_t group, int32_t block,
                      const psr_plane *src, const int32_t *rows, const psr_plane *dst,
                      uint8_t *out) {
    const psr_version *version = io->version;
    psr_conv_kernel *const *kernel =
        kernels_of(io)->sums[conv->in_channels == PSR_BLOCK][group - 1];
    const int32_t n = columns_of(io, dst);
    int32_t done = 0;
    for (int shape = 0; shape < PSR_TILE_SHAPES && done < n; ++shape) {
        const int32_t tiles = psr_tiles(version->tile_pixels[group - 1], shape, n - done);
        if (tiles == 0) continue;
        kernel[shape](src->data + (ptrdiff_t)done * src->pixel, rows,
                      conv->weights + (size_t)block * conv->weight_bytes_per_block, no_bias,
                      conv->scale, out + (ptrdiff_t)done * dst->pixel, conv->window, conv->window,
                      conv->in_groups, src->block, tiles, PSR_BLOCK,
                      dst->block / (int32_t)sizeof(int32_t));
        done += tiles * version->tile_pixels[group - 1][shape];
    }
}

static void sums(const psr_io *io, const psr_conv *conv, const psr_plane *src, const psr_plane *dst,
                 int32_t y) {
    const int32_t x = -dst->margin_x, reach = conv->window / 2;
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; k < conv->window; ++k)
        rows[k] = psr_offset(src, io, y - reach + k, x - reach);
    uint8_t *out = psr_at(dst, io, y, x);
    for (int32_t b = 0, group; b < conv->out_blocks; b += group) {
        group = conv->out_blocks - b < io->version->group_blocks ? 1 : io->version->group_blocks;
        sum_group(io, conv, group, b, src, rows, dst, out + (ptrdiff_t)b * dst->block);
    }
}

static void requantise(const psr_io *io, unfused_requantise_kernel *kernel, const psr_conv *conv,
                       const psr_plane *src, const psr_plane *dst, int32_t y) {
    const uint8_t *from = psr_at(src, io, y, -src->margin_x);
    uint8_t *out = psr_at(dst, io, y, -dst->margin_x);
    for (int32_t b = 0; b < conv->out_blocks; ++b)
        kernel((const int32_t *)(from + (ptrdiff_t)b * src->block), conv->bias + b * PSR_BLOCK,
               conv->scale + b * PSR_BLOCK, out + (ptrdiff_t)b * dst->block, columns_of(io, dst));
}

/* Each HR row has a block of 16 numbers a pixel: the first 3 r of them go side by side. */
static void shuffle(const psr_io *io, const psr_plane *src, const psr_plane *dst, int32_t y) {
    const uint8_t *from = psr_at(src, io, y, 0);
    uint8_t *out = psr_at(dst, io, y, 0);
    for (int32_t dy = 0; dy < io->arch->side; ++dy)
        kernels_of(io)->shuffle((const int16_t *)(from + (ptrdiff_t)dy * src->block),
                                (int16_t *)(out + (ptrdiff_t)dy * dst->block), 3 * io->arch->side,
                                io->w);
}

static int32_t numbers(int32_t bytes) { return bytes / (int32_t)sizeof(int16_t); }

static void anchor_down(const psr_io *io, const psr_plane *src, const psr_plane *dst, int32_t y) {
    const int32_t side = io->arch->side;
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; k < PSR_TAPS; ++k)
        rows[k] = numbers(psr_offset(src, io, y - PSR_TAPS / 2 + k, 0));
    int16_t *out = psr_at(dst, io, y, 0);
    for (int32_t dy = 0; dy < side; ++dy)
        kernels_of(io)->down((const int16_t *)src->data, rows, psr_taps_down[side][dy],
                             out + dy * numbers(dst->block), 3 * side * io->w);
}

static void add(const psr_io *io, const psr_plane *a, const psr_plane *b, const psr_plane *dst,
                int32_t y) {
    const int16_t *first = psr_at(a, io, y, 0), *second = psr_at(b, io, y, 0);
    int16_t *out = psr_at(dst, io, y, 0);
    for (int32_t dy = 0; dy < io->arch->side; ++dy)
        kernels_of(io)->add(first + dy * numbers(a->block), second + dy * numbers(b->block),
                            out + dy * numbers(dst->block), 3 * io->arch->side * io->w);
}

void unfused_row(const psr_io *io, int op, int32_t number, const psr_plane *source,
                 const psr_plane *adds, const psr_plane *result, int32_t y) {
    const psr_conv *conv = &io->convs[number];
    if (psr_is_outside(result, io, y)) return;
    switch (op) {
        case UNFUSED_SUMS: sums(io, conv, source, result, y); break;
        case UNFUSED_HIDDEN: requantise(io, kernels_of(io)->hidden, conv, source, result, y); break;
        case UNFUSED_DETAIL: requantise(io, kernels_of(io)->detail, conv, source, result, y); break;
        case UNFUSED_SHUFFLE: shuffle(io, source, result, y); break;
        case UNFUSED_ANCHOR_DOWN: anchor_down(io, source, result, y); break;
        case UNFUSED_ADD: add(io, source, adds, result, y); break;
    }
}
