/* The router: open, close, ask, route a frame.
 *
 *   LR rows -> quarter pixels, a block -> embedded -> mixed -> cells, a block a  -> features
 *              of inputs an LR row        3 rows      a cell's  quarter pixel          |
 *              (clamped at the edges)                 rows                             |
 *                                path <- nearest centre <- attended <- squeeze, excite +
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
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
} frame;

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static int32_t whole(int32_t pixels, int32_t cell) { return (pixels + cell - 1) / cell; }

/* `bytes` of the arena, or NULL where there is none and they are only counted. */
static uint8_t *take(frame *f, uint8_t *arena, size_t bytes) {
    uint8_t *at = arena ? arena + f->bytes : NULL;
    f->bytes += (bytes + PSR_ALIGN - 1) / PSR_ALIGN * PSR_ALIGN;
    return at;
}

static psr_plane take_plane(frame *f, uint8_t *arena, int32_t rows, int32_t channels,
                            int32_t columns, int32_t margin) {
    const int32_t blocks = (channels + PSR_BLOCK - 1) / PSR_BLOCK;
    const int32_t block = psr_columns(columns + 2 * margin + PSR_ROUTER_SLACK) * PSR_BLOCK;
    psr_plane plane = {.ring = rows, .margin_y = margin, .margin_x = margin,
                       .row = blocks * block, .pixel = PSR_BLOCK, .block = block};
    plane.data = take(f, arena, (size_t)rows * plane.row);
    return plane;
}

static frame lay_out(const psr_router *router, int32_t h, int32_t w, uint8_t *arena) {
    frame f = {.router = router, .h = h, .w = w, .flip = psr_layers_flip(router->layers)};
    f.rows = whole(h, router->cell);
    f.cells = whole(w, router->cell);
    f.quarters = f.cells * router->side;
    const int32_t blocks = router->side * router->side * whole(router->mixed, PSR_BLOCK);
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

static frame frame_of(const psr_router *router, const uint8_t *lr, ptrdiff_t lr_stride, int32_t h,
                      int32_t w, uint8_t *arena) {
    frame f = lay_out(router, h, w, arena);
    f.lr = lr;
    f.lr_stride = lr_stride;
    return f;
}

/* LR row y as activations lie, its last pixel repeated up to a whole cell. */
static void copy_line(const frame *f, int32_t y) {
    const uint8_t *row = f->lr + (ptrdiff_t)least(y, f->h - 1) * f->lr_stride, flip = f->flip;
    const int32_t n = 3 * f->w, end = 3 * PSR_QUARTER * f->quarters;
    uint8_t *line = f->line;
    for (int32_t i = 0; i < n; ++i) line[i] = row[i] ^ flip;
    for (int32_t i = n; i < end; i += 3) memcpy(line + i, line + n - 3, 3);
}

/* The line's four pixels of each quarter pixel, to its block of inputs dy: 12 bytes, and behind
 * them what has no weight. */
static void spread_line(const frame *f, int32_t dy) {
    uint8_t *to = psr_layers_at(&f->pixels, 0) + (ptrdiff_t)dy * f->pixels.block;
    const uint8_t *from = f->line;
    const int32_t n = f->quarters;
    for (int32_t x = 0; x < n; ++x)
        memcpy(to + x * PSR_BLOCK, from + x * PSR_QUARTER * 3, PSR_BLOCK);
}

/* Row y of the quarter grid, and its first and last pixel once more beside it. */
static void load_quarters(const frame *f, int32_t y) {
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
static void embed_row(const frame *f, int32_t y) {
    const int32_t last = f->rows * f->router->side - 1;
    load_quarters(f, y < 0 ? 0 : least(y, last));
    /* The pixels' plane has one row, which serves as any. */
    psr_layers_row(f->router->layers, PSR_EMBED, &f->pixels, &f->embedded, y, f->quarters);
}

/* Block b of quarter pixel (dy, dx) of each cell, to block (dy side + dx) blocks + b of inputs. */
static void gather_cells(const frame *f, int32_t first) {
    const int32_t side = f->router->side, blocks = whole(f->router->mixed, PSR_BLOCK);
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
static void attend(const frame *f) {
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
static void describe_cells(const frame *f, int32_t row) {
    const psr_layers *layers = f->router->layers;
    const int32_t side = f->router->side, first = row * side;
    for (int32_t y = first; y < first + side; ++y) {
        if (y == 0) {
            embed_row(f, -1);
            embed_row(f, 0);
        }
        embed_row(f, y + 1);
        psr_layers_row(layers, PSR_MIX, &f->embedded, &f->mixed, y, f->quarters);
    }
    gather_cells(f, first);
    psr_layers_row(layers, PSR_POOL, &f->gathered, &f->features, 0, f->cells);
    psr_layers_row(layers, PSR_SQUEEZE, &f->features, &f->squeezed, 0, f->cells);
    psr_layers_row(layers, PSR_EXCITE, &f->squeezed, &f->attention, 0, f->cells);
    attend(f);
}

static int32_t distance(const uint8_t *a, const int16_t *b, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* The path of the class whose centre is nearest, the lowest of equals; too close a second one
 * makes it the safe path. */
static uint8_t decide(const psr_router *router, const uint8_t *attended) {
    int32_t first = INT32_MAX, second = INT32_MAX, nearest = 0;
    for (int32_t k = 0; k < router->classes; ++k) {
        const int32_t found =
            distance(attended, router->centres[k], router->features) + router->offsets[k];
        if (found < first) {
            second = first;
            first = found;
            nearest = k;
        } else if (found < second) {
            second = found;
        }
    }
    return second - first < router->margins[nearest] ? PSR_PATH_HARD : router->paths[nearest];
}

static void decide_cells(const frame *f, uint8_t *paths) {
    for (int32_t x = 0; x < f->cells; ++x)
        paths[x] = decide(f->router, f->attended + x * f->router->features);
}

/* Records of [features, path] of a frame's cells, which the self-test's checksum is over. */
static void record_cells(const frame *f, uint8_t *next) {
    const int32_t features = f->router->features;
    for (int32_t row = 0; row < f->rows; ++row) {
        describe_cells(f, row);
        for (int32_t x = 0; x < f->cells; ++x, next += features + 1) {
            memcpy(next, f->attended + x * features, (size_t)features);
            next[features] = decide(f->router, next);
        }
    }
}

/* The blob's own test: a seeded frame that is no multiple of the cell, every feature and path. */
static int selftest(const psr_router *router, uint32_t wanted) {
    const int32_t h = 2 * router->cell + 5, w = 3 * router->cell + 7;
    const size_t pixels = (size_t)h * w * 3;
    const size_t cells = (size_t)whole(h, router->cell) * whole(w, router->cell);
    const size_t records = cells * ((size_t)router->features + 1);
    uint8_t *lr = malloc(pixels), *seen = malloc(records);
    void *arena = psr_alloc(psr_router_arena_bytes(router, h, w));
    int error = PSR_E_NOMEM;
    if (lr && seen && arena) {
        uint32_t state = 1;
        for (size_t i = 0; i < pixels; ++i) {
            state = state * 1664525u + 1013904223u; /* Numerical Recipes */
            lr[i] = (uint8_t)(state >> 24);
        }
        const frame f = frame_of(router, lr, 3 * w, h, w, arena);
        record_cells(&f, seen);
        error = psr_crc32(seen, records) == wanted ? PSR_OK : PSR_E_SELFTEST;
    }
    free(lr);
    free(seen);
    psr_free(arena);
    return error;
}

static void fill(const psr_router_blob *blob, psr_router *router) {
    router->cell = blob->cell;
    router->side = blob->cell / PSR_QUARTER;
    router->classes = blob->classes;
    router->hold_frames = blob->hold_frames;
    router->embedded = blob->specs[PSR_EMBED].out;
    router->mixed = blob->specs[PSR_MIX].out;
    router->features = blob->specs[PSR_POOL].out;
    router->squeezed = blob->specs[PSR_SQUEEZE].out;
    for (int32_t k = 0; k < blob->classes; ++k) {
        for (int32_t c = 0; c < router->features; ++c)
            router->centres[k][c] = psr_read_s16(blob->centres + 2 * (k * router->features + c));
        router->offsets[k] = psr_read_s32(blob->offsets + 4 * k);
        router->margins[k] = psr_read_s32(blob->margins + 4 * k);
        router->paths[k] = blob->paths[k];
    }
}

/* Where input (c, dy, dx) of a convolution of stride k lies in a 1x1 one: dy row + dx pixel + c. */
typedef struct {
    int32_t row, pixel, inputs;
} order;

static order order_of(const psr_conv_spec *spec, int32_t layer) {
    const int32_t pixel = layer == PSR_EMBED ? 3 : whole(spec->in, PSR_BLOCK) * PSR_BLOCK;
    const int32_t row = layer == PSR_EMBED ? PSR_BLOCK : spec->window * pixel;
    return (order){row, pixel, row * spec->window};
}

static void spread_weights(const psr_conv_spec *spec, order to, const uint8_t *from, uint8_t *out) {
    const int32_t k = spec->window;
    memset(out, 0, (size_t)spec->out * to.inputs);
    for (int32_t o = 0; o < spec->out; ++o, out += to.inputs)
        for (int32_t c = 0; c < spec->in; ++c)
            for (int32_t dy = 0; dy < k; ++dy)
                for (int32_t dx = 0; dx < k; ++dx)
                    out[dy * to.row + dx * to.pixel + c] = *from++;
}

/* The blob's layers with embed and pool as 1x1 convolutions of what spread_line and gather_cells
 * make; NULL without memory. */
static uint8_t *spread_layers(const psr_router_blob *blob, psr_conv_spec *specs) {
    size_t bytes = 0;
    for (int32_t i = 0; i < PSR_ROUTER_LAYERS; ++i) {
        specs[i] = blob->specs[i];
        if (i == PSR_EMBED || i == PSR_POOL)
            specs[i] = (psr_conv_spec){
                specs[i].out, (uint16_t)order_of(&specs[i], i).inputs, 1, 0};
        bytes += psr_router_layer_bytes(&specs[i]);
    }
    uint8_t *layers = malloc(bytes), *to = layers;
    const uint8_t *from = blob->layers;
    for (int32_t i = 0; layers && i < PSR_ROUTER_LAYERS; ++i) {
        const psr_conv_spec *spec = &blob->specs[i];
        const size_t read = psr_router_layer_bytes(spec);
        const size_t written = psr_router_layer_bytes(&specs[i]);
        const size_t outputs = PSR_OUTPUT_BYTES * (size_t)spec->out;
        if (specs[i].in == spec->in)
            memcpy(to, from, read);
        else
            spread_weights(spec, order_of(spec, i), from, to);
        memcpy(to + written - outputs, from + read - outputs, outputs);
        from += read;
        to += written;
    }
    return layers;
}

static int open_layers(const psr_router_blob *blob, psr_layers **out) {
    psr_conv_spec specs[PSR_ROUTER_LAYERS];
    uint8_t *layers = spread_layers(blob, specs);
    if (!layers) return PSR_E_NOMEM;
    const int error = psr_layers_open(specs, PSR_ROUTER_LAYERS, layers, out);
    free(layers);
    return error;
}

int psr_router_open(const uint8_t *bytes, size_t n, psr_router **out) {
    if (!bytes || !out) return PSR_E_ARG;
    *out = NULL;
    psr_router_blob blob;
    int error = psr_router_parse(bytes, n, &blob);
    if (error) return error;
    psr_router *router = calloc(1, sizeof *router);
    if (!router) return PSR_E_NOMEM;
    fill(&blob, router);
    error = open_layers(&blob, &router->layers);
    if (!error) error = selftest(router, blob.test);
    if (error)
        psr_router_close(router);
    else
        *out = router;
    return error;
}

void psr_router_close(psr_router *router) {
    if (!router) return;
    psr_layers_close(router->layers);
    free(router);
}

int psr_router_cell_px(const psr_router *router) { return router ? router->cell : 0; }

int psr_router_hold_frames(const psr_router *router) { return router ? router->hold_frames : 0; }

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
    const frame f = frame_of(router, lr, lr_stride, h, w, arena);
    for (int32_t row = 0; row < f.rows; ++row) {
        describe_cells(&f, row);
        decide_cells(&f, paths + (ptrdiff_t)row * f.cells);
    }
    return PSR_OK;
}
