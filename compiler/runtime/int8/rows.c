/* The steps of a plan: rings of rows on one side, kernels for one row on the other. */
#include <string.h>

#include "kernels.h"

typedef psr_conv_kernel *const kernel_table[2][PSR_TILE_SHAPES];

void psr_load(const psr_io *io, const psr_plane *dst, int32_t y) {
    io->version->load(psr_lr_row(io, y), psr_at(dst, io, y, -dst->margin_x), io->w + 2 * io->halo);
}

/* `n` columns of a row from x on, by groups of output blocks; `unit`: size of an output number. */
static void convolve_span(const psr_io *io, const psr_conv *conv, kernel_table *kernels,
                          const psr_plane *src, const psr_plane *dst, int32_t unit, int32_t y,
                          int32_t x, int32_t n) {
    const psr_version *version = io->version;
    int32_t rows[PSR_TAPS];
    for (int32_t k = 0; k < conv->window; ++k)
        rows[k] = psr_offset(src, io, y - conv->window / 2 + k, x - conv->window / 2);
    uint8_t *out = psr_at(dst, io, y, x);
    for (int32_t b = 0, group; b < conv->out_blocks; b += group) {
        group = conv->out_blocks - b < version->group_blocks ? 1 : version->group_blocks;
        int32_t done = 0;
        for (int shape = 0; shape < PSR_TILE_SHAPES && done < n; ++shape) {
            const int32_t tiles = psr_tiles(version->tile_pixels, shape, n - done);
            if (tiles == 0) continue;
            kernels[conv->in_channels == PSR_BLOCK][group - 1][shape](
                src->data + (ptrdiff_t)done * src->pixel, rows,
                conv->weights + (size_t)b * conv->weight_bytes_per_block,
                conv->bias + b * PSR_BLOCK, conv->scale + b * PSR_BLOCK,
                out + (ptrdiff_t)b * dst->block + (ptrdiff_t)done * dst->pixel, conv->window,
                conv->window, conv->in_groups, src->block, tiles, dst->pixel / unit,
                dst->block / unit);
            done += tiles * version->tile_pixels[shape];
        }
    }
}

void psr_convolve(const psr_io *io, int32_t number, const psr_plane *src, const psr_plane *dst,
                  int32_t y, psr_reach reach) {
    if (psr_is_outside(dst, io, y)) return;
    psr_spans spans = psr_spans_of(io, dst, y, reach, PSR_GAP);
    while (psr_next_span(&spans))
        convolve_span(io, &io->convs[number], io->version->hidden, src, dst, 1, y, spans.x,
                      spans.n);
}

/* A kernel writes PSR_BLOCK numbers for a pixel's 3 r: those of the span's last pixel run over into
 * columns that another exit may have computed already, and are put back. */
static void detail_span(const psr_io *io, int32_t number, const psr_plane *src,
                        const psr_plane *dst, int32_t y, int32_t x, int32_t n) {
    const size_t over = (PSR_BLOCK - 3 * (size_t)io->scale) * sizeof(int16_t);
    uint8_t *behind = psr_at(dst, io, y, x + n), kept[4][PSR_BLOCK * sizeof(int16_t)];
    for (int32_t dy = 0; dy < io->scale; ++dy)
        memcpy(kept[dy], behind + (ptrdiff_t)dy * dst->block, over);
    convolve_span(io, &io->convs[number], io->version->detail, src, dst, sizeof(int16_t), y, x, n);
    for (int32_t dy = 0; dy < io->scale; ++dy)
        memcpy(behind + (ptrdiff_t)dy * dst->block, kept[dy], over);
}

void psr_detail(const psr_io *io, int32_t number, const psr_plane *src, const psr_plane *dst,
                int32_t y, psr_reach reach) {
    if (psr_is_outside(dst, io, y)) return;
    psr_spans spans = psr_spans_of(io, dst, y, reach, 0);
    while (psr_next_span(&spans)) detail_span(io, number, src, dst, y, spans.x, spans.n);
}

void psr_anchor(const psr_io *io, const psr_plane *src, const psr_plane *dst, int32_t y) {
    if (psr_is_outside(dst, io, y)) return;
    io->version->anchor[io->scale](psr_at(src, io, y, -PSR_TAPS / 2), psr_taps_across[io->scale],
                                   psr_at(dst, io, y, 0), io->w);
}

/* One HR row. Whole vectors go straight to the frame, what is left through `row`. */
static void store_row(const psr_version *version, psr_store_kernel *store, const int16_t *anchor,
                      const int32_t *rows, const int16_t *taps, const int16_t *detail, uint8_t *hr,
                      int32_t values, uint8_t *row) {
    const int32_t left = values % version->store_values, whole = values - left;
    store(anchor, rows, taps, detail, hr, whole);
    if (left == 0) return;
    store(anchor ? anchor + whole : NULL, rows, taps, detail ? detail + whole : NULL, row, left);
    memcpy(hr + whole, row, (size_t)left);
}

void psr_store(const psr_io *io, const psr_plane *detail, const psr_plane *anchor,
               const psr_plane *row, int32_t y) {
    if (y < 0 || y >= io->h) return;
    const psr_version *version = io->version;
    psr_store_kernel *store = !detail    ? version->store_anchor
                              : !anchor ? version->store_detail
                                        : version->store_sum;
    if (detail) psr_clear_bicubic(io, detail, io->scale, y);
    const int16_t *added = detail ? psr_at(detail, io, y, 0) : NULL;
    int32_t rows[PSR_TAPS] = {0};
    for (int32_t k = 0; anchor && k < PSR_TAPS; ++k)
        rows[k] = psr_offset(anchor, io, y - PSR_TAPS / 2 + k, 0) / (int32_t)sizeof(int16_t);
    const int32_t values = 3 * io->scale * io->w;
    for (int32_t dy = 0; dy < io->scale; ++dy) {
        const ptrdiff_t phase = detail ? dy * (ptrdiff_t)(detail->block / sizeof(int16_t)) : 0;
        store_row(version, store, anchor ? (const int16_t *)anchor->data : NULL, rows,
                  psr_taps_down[io->scale][dy], added ? added + phase : NULL,
                  psr_hr_row(io, y, dy), values, row->data);
    }
}
