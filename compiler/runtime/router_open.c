/* Routers: open, close, ask. A blob's layers are spread for the kernels, and its own test is run. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "router_frame.h"

/* Records of [features, path] of a frame's cells, which the self-test's checksum is over. */
static void record_cells(const psr_router_frame *f, uint8_t *next) {
    const int32_t features = f->router->features;
    for (int32_t row = 0; row < f->rows; ++row) {
        psr_router_describe_cells(f, row);
        for (int32_t x = 0; x < f->cells; ++x, next += features + 1) {
            memcpy(next, f->attended + x * features, (size_t)features);
            next[features] = psr_router_decide(f->router, next);
        }
    }
}

/* The blob's own test: a seeded frame that is no multiple of the cell, every feature and path. */
static int selftest(const psr_router *router, uint32_t wanted) {
    const int32_t h = 2 * router->cell + 5, w = 3 * router->cell + 7;
    const size_t pixels = (size_t)h * w * 3;
    const size_t cells = (size_t)psr_whole(h, router->cell) * psr_whole(w, router->cell);
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
        const psr_router_frame f = psr_router_frame_of(router, lr, 3 * w, h, w, arena);
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
    const int32_t pixel = layer == PSR_EMBED ? 3 : psr_whole(spec->in, PSR_BLOCK) * PSR_BLOCK;
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
                specs[i].out, (uint16_t)order_of(&specs[i], i).inputs, 1, 0, 0};
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
