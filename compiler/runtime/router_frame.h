/* A router, and a frame on its way through it: what the files router*.c share. */
#ifndef PSR_ROUTER_FRAME_H
#define PSR_ROUTER_FRAME_H

#include "router.h"

struct psr_router {
    psr_layers *layers;
    int32_t cell, side, classes, hold_frames;
    int32_t embedded, mixed, features, squeezed; /* channels */
    int16_t centres[PSR_MAX_CLASSES][PSR_MAX_ROUTER_WIDTH];
    int32_t offsets[PSR_MAX_CLASSES], margins[PSR_MAX_CLASSES];
    uint8_t paths[PSR_MAX_CLASSES];
};

/* A frame, and where in the arena its values lie; `quarters` and `cells` are counts of columns. */
typedef struct {
    const psr_router *router;
    const uint8_t *lr;
    ptrdiff_t lr_stride;
    int32_t h, w, rows, cells, quarters;
    uint8_t flip, *line, *attended;
    psr_plane pixels, embedded, mixed, gathered, features, squeezed, attention;
    size_t bytes;
} psr_router_frame;

static inline int32_t psr_least(int32_t a, int32_t b) { return a < b ? a : b; }

/* How many cells, or blocks, cover that many pixels, or channels. */
static inline int32_t psr_whole(int32_t pixels, int32_t cell) {
    return (pixels + cell - 1) / cell;
}

/* router_embed.c: rows y of the embedding, -1 .. side of the quarter grid, one after the other. */
void psr_router_embed_row(const psr_router_frame *f, int32_t y);

/* router_decide.c: the path of a cell with these attended features. */
uint8_t psr_router_decide(const psr_router *router, const uint8_t *attended);

/* router.c: a frame with its values laid out in the arena, and the attended features of a row of
 * its cells, in f->attended as [cell][channel]. */
psr_router_frame psr_router_frame_of(const psr_router *router, const uint8_t *lr,
                                     ptrdiff_t lr_stride, int32_t h, int32_t w, uint8_t *arena);
void psr_router_describe_cells(const psr_router_frame *f, int32_t row);

#endif
