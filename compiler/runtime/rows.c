/* The steps of a plan that are the same in every number format: psr_value is an input's number,
 * psr_sum one of detail or anchor. */
#include "rows.h"

#include <string.h>

#include "kernels.h"

enum { SUM = sizeof(psr_sum), MAX_OVER = 4 * PSR_BLOCK };

void psr_load(const psr_io *io, const psr_plane *dst, int32_t y) {
    const int32_t margin = dst->margin_x;
    io->version->load[io->arch->units - 1](psr_lr_row(io, y, 0, -margin), (int32_t)io->lr_stride,
                                           psr_at(dst, io, y, -margin), io->w + 2 * margin,
                                           dst->block / (int32_t)sizeof(psr_value));
}

void psr_load_pixels(const psr_io *io, const psr_plane *dst, int32_t y) {
    if (psr_is_outside(dst, io, y)) return;
    const int32_t margin = dst->margin_x, n = (io->w + 2 * margin) * io->arch->units;
    uint8_t *row = psr_at(dst, io, y, -margin);
    for (int32_t dy = 0; dy < io->arch->units; ++dy)
        io->version->load[0](psr_lr_row(io, y, dy, -margin), 0,
                             (psr_value *)(row + (ptrdiff_t)dy * dst->block), n, 0);
}

static int32_t scale_slot(const psr_arch *arch) { return arch->p / arch->q; } /* 1: 3/2 */

/* The LR pixel, of the q that repeat, in which HR pixel `phase` of their p has its centre. */
static int32_t owner_of(const psr_arch *arch, int32_t phase) {
    return (2 * phase + 1) * arch->q / (2 * arch->p);
}

void psr_anchor(const psr_io *io, const psr_plane *src, const psr_plane *dst, int32_t y) {
    if (psr_is_outside(dst, io, y)) return;
    const psr_arch *arch = io->arch;
    const uint8_t *from = psr_at(src, io, y, 0);
    uint8_t *to = psr_at(dst, io, y, 0);
    const int32_t slot = scale_slot(arch), groups = io->w * arch->units / arch->q;
    for (int32_t dy = 0; dy < arch->units; ++dy)
        io->version->anchor[slot](
            (const psr_value *)(from + (ptrdiff_t)dy * src->block) - PSR_TAPS / 2 * PSR_PIXEL,
            psr_taps_across[slot], (psr_sum *)(to + (ptrdiff_t)dy * dst->block), groups);
}

void psr_convolve(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                  const psr_plane *adds, int32_t y, int relu, const psr_reach *reach) {
    if (psr_is_outside(dst, io, y)) return;
    psr_spans spans = psr_spans_of(io, dst, y, reach, PSR_GAP);
    while (psr_next_span(&spans))
        psr_convolve_span(io, conv, src, dst, adds, relu, y, spans.x, spans.n);
}

/* A kernel writes whole blocks for each HR row of a place: those of the span's last place run over
 * into columns that another exit may have computed already, and are put back. */
static void detail_span(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                        const psr_plane *adds, int32_t y, int32_t x, int32_t n) {
    const int32_t side = io->arch->side;
    const size_t over = SUM * (size_t)(psr_phase_blocks(side) * PSR_BLOCK - 3 * side);
    uint8_t *behind = psr_at(dst, io, y, x + n), kept[PSR_MAX_HR_UNITS][MAX_OVER * SUM];
    for (int32_t dy = 0; dy < side; ++dy)
        memcpy(kept[dy], behind + (ptrdiff_t)dy * dst->block, over);
    psr_convolve_span(io, conv, src, dst, adds, 0, y, x, n);
    for (int32_t dy = 0; dy < side; ++dy)
        memcpy(behind + (ptrdiff_t)dy * dst->block, kept[dy], over);
}

void psr_detail(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                const psr_plane *adds, int32_t y, const psr_reach *reach) {
    if (psr_is_outside(dst, io, y)) return;
    psr_spans spans = psr_spans_of(io, dst, y, reach, 0);
    while (psr_next_span(&spans)) detail_span(io, conv, src, dst, adds, y, spans.x, spans.n);
}

/* What one HR row is made of. Each of anchor and detail may be NULL. */
typedef struct {
    const psr_sum *anchor, *detail, *taps;
    int32_t rows[PSR_TAPS];
    const uint8_t *lr; /* at scale 1, in the anchor's stead */
} parts;

static void store_values(const psr_version *version, const parts *from, int32_t first,
                         int32_t values, uint8_t *hr) {
    const psr_sum *detail = from->detail ? from->detail + first : NULL;
    const psr_sum *anchor = from->anchor ? from->anchor + first : NULL;
    if (from->lr) {
        uint8_t lr[PSR_MAX_STORE]; /* a row of LR has nothing behind it that may be read */
        const int is_cut = values < version->store_values;
        if (is_cut) memcpy(lr, from->lr + first, (size_t)values);
        version->store_identity(is_cut ? lr : from->lr + first, detail, hr, values);
    } else {
        psr_store_kernel *store = !detail   ? version->store_anchor
                                  : !anchor ? version->store_detail
                                            : version->store_sum;
        store(anchor, from->rows, from->taps, detail, hr, values);
    }
}

/* Whole vectors go straight to the frame, what is left through a buffer. */
static void store_row(const psr_version *version, const parts *from, int32_t values, uint8_t *hr) {
    const int32_t left = values % version->store_values, whole = values - left;
    uint8_t row[PSR_MAX_STORE];
    if (from->lr && !from->detail) {
        memcpy(hr, from->lr, (size_t)values);
        return;
    }
    if (whole) store_values(version, from, 0, whole, hr);
    if (left == 0) return;
    store_values(version, from, whole, left, row);
    memcpy(hr + whole, row, (size_t)left);
}

/* The five rows of the anchor around row `middle` of LR in a row of places. */
static void find_rows(const psr_io *io, const psr_plane *anchor, int32_t y, int32_t middle,
                      int32_t *rows) {
    const int32_t u = io->arch->units;
    for (int32_t t = 0; t < PSR_TAPS; ++t) {
        const int32_t row = middle - PSR_TAPS / 2 + t + 2 * u; /* from two places above */
        const int32_t at = psr_offset(anchor, io, y - 2 + row / u, 0) + row % u * anchor->block;
        rows[t] = at / SUM;
    }
}

void psr_store(const psr_io *io, const psr_plane *detail, const psr_plane *anchor, int has_anchor,
               int32_t y) {
    if (y < 0 || y >= io->h) return;
    const psr_arch *arch = io->arch;
    const int32_t side = arch->side, values = 3 * io->hr_w;
    const int32_t end = io->hr_h - y * side < side ? io->hr_h - y * side : side;
    if (detail) psr_clear_bicubic(io, detail, side, y);
    parts from = {.anchor = anchor ? (const psr_sum *)anchor->data : NULL};
    for (int32_t k = 0, middle = -1; k < end; ++k) {
        if (anchor) {
            const int32_t phase = k % arch->p, own = k / arch->p * arch->q + owner_of(arch, phase);
            from.taps = psr_taps_down[scale_slot(arch)][phase];
            if (own != middle) find_rows(io, anchor, y, middle = own, from.rows);
        } else if (has_anchor) {
            from.lr = psr_lr_row(io, y, k, 0);
        }
        if (detail)
            from.detail =
                (const psr_sum *)((uint8_t *)psr_at(detail, io, y, 0) + (ptrdiff_t)k * detail->block);
        store_row(io->version, &from, values, io->hr + ((ptrdiff_t)y * side + k) * io->hr_stride);
    }
}
