/* The router's walk over the cells of a frame.
 *
 *   LR rows -> quarter pixels, a block -> embedded -> mixed -> cells, a block a  -> features
 *              of inputs an LR row        3 rows      a cell's  quarter pixel          |
 *              (clamped at the edges)                 rows                             |
 *                                path <- nearest centre <- attended <- squeeze, excite +
 */
#include <string.h>

#include "router_frame.h"

/* `bytes` of the arena, or NULL where there is none and they are only counted. */
static uint8_t *take(psr_router_frame *f, uint8_t *arena, size_t bytes) {
    uint8_t *at = arena ? arena + f->bytes : NULL;
    f->bytes += (bytes + PSR_ALIGN - 1) / PSR_ALIGN * PSR_ALIGN;
    return at;
}

static psr_plane take_plane(psr_router_frame *f, uint8_t *arena, int32_t rows, int32_t channels,
                            int32_t columns, int32_t margin) {
    const int32_t blocks = (channels + PSR_BLOCK - 1) / PSR_BLOCK;
    const int32_t block = psr_columns(columns + 2 * margin + PSR_ROUTER_SLACK) * PSR_BLOCK;
    psr_plane plane = {.ring = rows, .margin_y = margin, .margin_x = margin,
                       .row = blocks * block, .pixel = PSR_BLOCK, .block = block};
    plane.data = take(f, arena, (size_t)rows * plane.row);
    return plane;
}

static psr_router_frame lay_out(const psr_router *router, int32_t h, int32_t w, uint8_t *arena) {
    psr_router_frame f = {.router = router, .h = h, .w = w, .flip = psr_layers_flip(router->layers)};
    f.rows = psr_whole(h, router->cell);
    f.cells = psr_whole(w, router->cell);
    f.quarters = f.cells * router->side;
    const int32_t blocks = router->side * router->side * psr_whole(router->mixed, PSR_BLOCK);
    f.line = take(&f, arena, (size_t)f.quarters * PSR_QUARTER * 3 + PSR_BLOCK);
    f.pixels = take_plane(&f, arena, 1, PSR_QUARTER * PSR_BLOCK, f.quarters, 1);
    f.embedded = take_plane(&f, arena, 3, router->embedded, f.quarters, 1);
    f.mixed = take_plane(&f, arena, router->side, router->mixed, f.quarters, 0);
    f.gathered = take_plane(&f, arena, 1, blocks * PSR_BLOCK, f.cells, 0);
    f.features = take_plane(&f, arena, 1, router->features, f.cells, 0);
    f.squeezed = take_plane(&f, arena, 1, router->squeezed, f.cells, 0);
    f.attention = take_plane(&f, arena, 1, router->features, f.cells, 0);
    f.attended = take(&f, arena, (size_t)f.cells * router->features);
    return f;
}

psr_router_frame psr_router_frame_of(const psr_router *router, const uint8_t *lr,
                                     ptrdiff_t lr_stride, int32_t h, int32_t w, uint8_t *arena) {
    psr_router_frame f = lay_out(router, h, w, arena);
    f.lr = lr;
    f.lr_stride = lr_stride;
    return f;
}

/* Block b of quarter pixel (dy, dx) of each cell, to block (dy side + dx) blocks + b of inputs. */
static void gather_cells(const psr_router_frame *f, int32_t first) {
    const int32_t side = f->router->side, blocks = psr_whole(f->router->mixed, PSR_BLOCK);
    uint8_t *to = psr_layers_at(&f->gathered, 0);
    for (int32_t dy = 0; dy < side; ++dy)
        for (int32_t dx = 0; dx < side; ++dx)
            for (int32_t b = 0; b < blocks; ++b, to += f->gathered.block) {
                const uint8_t *from = psr_layers_at(&f->mixed, first + dy) + dx * PSR_BLOCK +
                                      (ptrdiff_t)b * f->mixed.block;
                for (int32_t x = 0; x < f->cells; ++x)
                    memcpy(to + x * PSR_BLOCK, from + (ptrdiff_t)x * side * PSR_BLOCK, PSR_BLOCK);
            }
}

/* f' = (f a + 128) >> 8 of each cell, as [cell][channel]. */
static void attend(const psr_router_frame *f) {
    const int32_t channels = f->router->features;
    for (int32_t c = 0; c < channels; ++c) {
        const ptrdiff_t block = (ptrdiff_t)(c / PSR_BLOCK) * f->features.block;
        const uint8_t *value = psr_layers_at(&f->features, 0) + block + c % PSR_BLOCK;
        const uint8_t *weight = psr_layers_at(&f->attention, 0) + block + c % PSR_BLOCK;
        for (int32_t x = 0; x < f->cells; ++x) {
            const int32_t q = value[x * PSR_BLOCK] ^ f->flip, a = weight[x * PSR_BLOCK] ^ f->flip;
            f->attended[x * channels + c] = (uint8_t)((q * a + 128) >> 8);
        }
    }
}

/* The attended features of a row of cells. */
void psr_router_describe_cells(const psr_router_frame *f, int32_t row) {
    const psr_layers *layers = f->router->layers;
    const int32_t side = f->router->side, first = row * side;
    for (int32_t y = first; y < first + side; ++y) {
        if (y == 0) {
            psr_router_embed_row(f, -1);
            psr_router_embed_row(f, 0);
        }
        psr_router_embed_row(f, y + 1);
        psr_layers_row(layers, PSR_MIX, &f->embedded, &f->mixed, y, f->quarters);
    }
    gather_cells(f, first);
    psr_layers_row(layers, PSR_POOL, &f->gathered, &f->features, 0, f->cells);
    psr_layers_row(layers, PSR_SQUEEZE, &f->features, &f->squeezed, 0, f->cells);
    psr_layers_row(layers, PSR_EXCITE, &f->squeezed, &f->attention, 0, f->cells);
    attend(f);
}

static void decide_cells(const psr_router_frame *f, uint8_t *paths) {
    for (int32_t x = 0; x < f->cells; ++x)
        paths[x] = psr_router_decide(f->router, f->attended + x * f->router->features);
}

static int is_size(int h, int w) {
    return h >= 1 && h <= PSR_MAX_SIDE && w >= 1 && w <= PSR_MAX_SIDE;
}

size_t psr_router_arena_bytes(const psr_router *router, int h, int w) {
    return router && is_size(h, w) ? lay_out(router, h, w, NULL).bytes : 0;
}

int psr_route(const psr_router *router, const uint8_t *lr, ptrdiff_t lr_stride, int h, int w,
              uint8_t *paths, void *arena) {
    if (!router || !is_size(h, w) || !lr || !paths || !arena) return PSR_E_ARG;
    if ((uintptr_t)arena % PSR_ALIGN) return PSR_E_ARG;
    const psr_router_frame f = psr_router_frame_of(router, lr, lr_stride, h, w, arena);
    for (int32_t row = 0; row < f.rows; ++row) {
        psr_router_describe_cells(&f, row);
        decide_cells(&f, paths + (ptrdiff_t)row * f.cells);
    }
    return PSR_OK;
}
