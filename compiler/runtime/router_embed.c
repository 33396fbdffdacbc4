/* The router's first layer: LR rows -> quarter pixels -> embedded rows.
 *
 * An LR row becomes one block of inputs of a row of quarter pixels, so that the convolution of
 * stride 4 is a 1x1 one, which the kernels of the networks run. */
#include <string.h>

#include "router_frame.h"

/* LR row y as activations lie, its last pixel repeated up to a whole cell. */
static void copy_line(const psr_router_frame *f, int32_t y) {
    const uint8_t *row = f->lr + (ptrdiff_t)psr_least(y, f->h - 1) * f->lr_stride, flip = f->flip;
    const int32_t n = 3 * f->w, end = 3 * PSR_QUARTER * f->quarters;
    uint8_t *line = f->line;
    for (int32_t i = 0; i < n; ++i) line[i] = row[i] ^ flip;
    for (int32_t i = n; i < end; i += 3) memcpy(line + i, line + n - 3, 3);
}

/* The line's four pixels of each quarter pixel, to its block of inputs dy: 12 bytes, and behind
 * them what has no weight. */
static void spread_line(const psr_router_frame *f, int32_t dy) {
    uint8_t *to = psr_layers_at(&f->pixels, 0) + (ptrdiff_t)dy * f->pixels.block;
    const uint8_t *from = f->line;
    const int32_t n = f->quarters;
    for (int32_t x = 0; x < n; ++x)
        memcpy(to + x * PSR_BLOCK, from + x * PSR_QUARTER * 3, PSR_BLOCK);
}

/* Row y of the quarter grid, and its first and last pixel once more beside it. */
static void load_quarters(const psr_router_frame *f, int32_t y) {
    for (int32_t dy = 0; dy < PSR_QUARTER; ++dy) {
        copy_line(f, PSR_QUARTER * y + dy);
        spread_line(f, dy);
    }
    for (int32_t dy = 0; dy < PSR_QUARTER; ++dy) {
        uint8_t *row = psr_layers_at(&f->pixels, 0) + (ptrdiff_t)dy * f->pixels.block;
        uint8_t *end = row + f->quarters * PSR_BLOCK;
        memcpy(row - PSR_BLOCK, row, PSR_BLOCK);
        memcpy(end, end - PSR_BLOCK, PSR_BLOCK);
    }
}

/* Row y of the embedding; beyond the frame it is the outermost row's. */
void psr_router_embed_row(const psr_router_frame *f, int32_t y) {
    const int32_t last = f->rows * f->router->side - 1;
    load_quarters(f, y < 0 ? 0 : psr_least(y, last));
    /* The pixels' plane has one row, which serves as any. */
    psr_layers_row(f->router->layers, PSR_EMBED, &f->pixels, &f->embedded, y, f->quarters);
}
