/* The router: which path each cell of an LR frame takes. sr/router/reference.py defines it. */
#ifndef PSR_ROUTER_H
#define PSR_ROUTER_H

#include "internal.h"

enum { PSR_EMBED, PSR_MIX, PSR_POOL, PSR_SQUEEZE, PSR_EXCITE, PSR_ROUTER_LAYERS };

enum {
    PSR_QUARTER = 4, /* LR pixels of a quarter pixel, across and down */
    PSR_OUTPUT_BYTES = 8, /* bias and multiplier */
    PSR_MAX_CLASSES = 16,
    PSR_MAX_ROUTER_WIDTH = 64,
    PSR_MAX_ROUTER_SIDE = 8, /* of a cell in quarter pixels */
    /* Of one output, of pool: more than the 9 x 64 of mix. */
    PSR_ROUTER_INPUTS = PSR_MAX_ROUTER_WIDTH * PSR_MAX_ROUTER_SIDE * PSR_MAX_ROUTER_SIDE
};

/* A parsed router blob; the pointers are into its bytes. */
typedef struct {
    int32_t cell, classes, hold_frames;
    psr_conv_spec specs[PSR_ROUTER_LAYERS];
    const uint8_t *layers;
    const uint8_t *centres, *offsets, *margins, *paths; /* s16, s32, s32, u8; of each class */
    uint32_t test;
} psr_router_blob;

/* router_blob.c: PSR_OK, or what is wrong with the bytes. */
int psr_router_parse(const uint8_t *blob, size_t n, psr_router_blob *out);
size_t psr_router_layer_bytes(const psr_conv_spec *spec);

/* layers.c of the number format: hidden int8 convolutions, ready to run on this processor. */
typedef struct psr_layers psr_layers;

/* `payload`: the layers one after the other, s8 weights [O, I, k, k], s32 biases and f32
 * multipliers [O]. Refuses numbers outside the limits. */
int psr_layers_open(const psr_conv_spec *specs, int32_t n, const uint8_t *payload,
                    psr_layers **out);
void psr_layers_close(psr_layers *layers);

/* The activation q lies in a plane as q ^ this. */
uint8_t psr_layers_flip(const psr_layers *layers);

/* Row y of a layer, `w` columns and the margins of dst; src has the columns that these read.
 * Planes have blocks of PSR_BLOCK channels, a byte each, and PSR_ROUTER_SLACK columns behind. */
enum { PSR_ROUTER_SLACK = 8 };
void psr_layers_row(const psr_layers *layers, int32_t number, const psr_plane *src,
                    const psr_plane *dst, int32_t y, int32_t w);

/* The row of a plane that psr_layers_row takes as y; y may be -1. */
static inline uint8_t *psr_layers_at(const psr_plane *plane, int32_t y) {
    return plane->data + (ptrdiff_t)((y + 1) % plane->ring) * plane->row +
           plane->margin_x * plane->pixel;
}

#endif
