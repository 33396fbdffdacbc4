/* int8: the kernels of a version, and a convolution packed for them. sr/quant/reference.py
 * defines what they compute. */
#ifndef PSR_KERNELS_H
#define PSR_KERNELS_H

#include "mask.h"
#include "planes.h"

/* The order of a group's weights for a vector of outputs. */
enum {
    PSR_PACK_QUADS,      /* [output][4] */
    PSR_PACK_WIDE_PAIRS, /* [pair][output][2] of s16; the pairs are inputs (0, 2) and (1, 3) */
    PSR_PACK_PAIRS,      /* [pair][output][2] */
    PSR_PACK_OCTETS,     /* [output][8], of two groups together */
    PSR_PACK_LINES       /* [4][output] */
};

typedef uint8_t psr_value; /* an input's number */
typedef int16_t psr_sum;   /* one of detail or anchor, in Q6 */

typedef void psr_load_kernel(const uint8_t *src, int32_t stride, uint8_t *dst, int32_t places,
                             int32_t block);
typedef void psr_conv_kernel(const uint8_t *src, const int32_t *rows, const int8_t *weights,
                             const int32_t *bias, const float *scale, void *dst, int32_t window_h,
                             int32_t window_w, int32_t in_groups, int32_t in_stride, int32_t tiles,
                             int32_t dst_pixel, int32_t dst_block);
typedef void psr_anchor_kernel(const uint8_t *src, const int16_t *taps, int16_t *dst,
                               int32_t groups);
typedef void psr_store_kernel(const int16_t *anchor, const int32_t *rows, const int16_t *taps,
                              const int16_t *detail, uint8_t *dst, int32_t values);
typedef void psr_identity_kernel(const uint8_t *lr, const int16_t *detail, uint8_t *dst,
                                 int32_t values);

struct psr_version {
    const char *name;
    uint32_t needs;         /* PSR_CPU_* */
    int32_t group_blocks;   /* blocks of output that one kernel computes */
    int32_t lanes;          /* outputs in a vector */
    int32_t packing[2];     /* of RGB and of blocks: PSR_PACK_* */
    int32_t step_groups[2]; /* of RGB and of blocks: groups of inputs that a kernel takes at a time */
    int32_t is_signed;      /* activations are stored as q - 128 */
    int32_t tile_pixels[2][PSR_TILE_SHAPES]; /* [blocks of output - 1] */
    int32_t store_values;     /* in a vector of the store kernels, at most PSR_MAX_STORE */
    psr_load_kernel *load[3]; /* by the side of a unit - 1 */
    psr_conv_kernel *hidden[2][2][PSR_TILE_SHAPES]; /* [RGB or blocks][blocks of output - 1] */
    psr_conv_kernel *detail[2][2][PSR_TILE_SHAPES];
    psr_anchor_kernel *anchor[5]; /* by scale, 1: of 3/2 */
    psr_store_kernel *store_sum, *store_anchor, *store_detail;
    psr_identity_kernel *store_identity;
};

struct psr_conv {
    const int8_t *weights;
    const int32_t *bias;
    const float *scale;
    int32_t in_channels; /* that lie together: PSR_PIXEL or PSR_BLOCK */
    int32_t in_groups, out_blocks, window;
    int32_t phase_blocks; /* of the outputs of an HR row, where they are HR pixels; else 0 */
    size_t weight_bytes_per_block;
};

/* Generated: the bicubic taps in fixed point, by scale (1: of 3/2); across in the kernel's order,
 * [tap][dx][colour]. */
extern const int16_t psr_taps_across[5][PSR_TAPS * PSR_BLOCK];
extern const int16_t psr_taps_down[5][4][PSR_TAPS];

/* `n` columns of row y of a layer from column x on. `adds` is NULL: int8 has no sums. */
void psr_convolve_span(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                       const psr_plane *adds, int relu, int32_t y, int32_t x, int32_t n);

#endif
