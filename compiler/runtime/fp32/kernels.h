/* fp32: the kernels of a version, and a convolution packed for them. */
#ifndef PSR_KERNELS_H
#define PSR_KERNELS_H

#include "mask.h"
#include "planes.h"

typedef float psr_value; /* an input's number */
typedef float psr_sum;   /* one of detail or anchor */

typedef void psr_load_kernel(const uint8_t *src, int32_t stride, float *dst, int32_t places,
                             int32_t block);
typedef void psr_conv_kernel(const float *src, const int32_t *rows, const float *weights,
                             const float *bias, const float *adds, float *dst, int32_t window_h,
                             int32_t window_w, int32_t in_blocks, int32_t in_stride, int32_t tiles,
                             int32_t dst_pixel, int32_t dst_block, int32_t adds_pixel,
                             int32_t adds_block, int32_t has_adds, float floor);
typedef void psr_anchor_kernel(const float *src, const float *taps, float *dst, int32_t groups);
typedef void psr_store_kernel(const float *anchor, const int32_t *rows, const float *taps,
                              const float *detail, uint8_t *dst, int32_t values);
typedef void psr_identity_kernel(const uint8_t *lr, const float *detail, uint8_t *dst,
                                 int32_t values);

struct psr_version {
    const char *name;
    uint32_t needs;       /* PSR_CPU_* */
    int32_t group_blocks; /* blocks of output that one kernel computes */
    int32_t tile_pixels[2][PSR_TILE_SHAPES]; /* [blocks of output - 1] */
    int32_t store_values;     /* in a vector of the store kernels, at most PSR_MAX_STORE */
    psr_load_kernel *load[3]; /* by the side of a unit - 1 */
    psr_conv_kernel *conv[2][2][PSR_TILE_SHAPES]; /* [RGB or blocks][blocks of output - 1] */
    psr_anchor_kernel *anchor[5];                 /* by scale, 1: of 3/2 */
    psr_store_kernel *store_sum, *store_anchor, *store_detail;
    psr_identity_kernel *store_identity;
};

struct psr_conv {
    const float *weights, *bias;
    int32_t in_channels; /* that lie together: PSR_PIXEL or PSR_BLOCK */
    int32_t in_blocks, out_blocks, window;
    int32_t phase_blocks; /* of the outputs of an HR row, where they are HR pixels; else 0 */
};

/* Generated: the bicubic taps by scale (1: of 3/2); across in the kernel's order,
 * [tap][dx][colour]. */
extern const float psr_taps_across[5][PSR_TAPS * PSR_BLOCK];
extern const float psr_taps_down[5][4][PSR_TAPS];

/* `n` columns of row y of a layer from column x on, with the same of `adds` where it is not NULL. */
void psr_convolve_span(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                       const psr_plane *adds, int relu, int32_t y, int32_t x, int32_t n);

#endif
