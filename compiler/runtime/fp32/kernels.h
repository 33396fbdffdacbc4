/* fp32: the kernels of a version, and a convolution packed for them. */
#ifndef PSR_KERNELS_H
#define PSR_KERNELS_H

#include "mask.h"
#include "planes.h"

typedef void psr_load_kernel(const uint8_t *src, float *dst, int32_t pixels);
typedef void psr_conv_kernel(const float *src, const int32_t *rows, const float *weights,
                             const float *bias, const float *adds, float *dst, int32_t window_h,
                             int32_t window_w, int32_t in_blocks, int32_t in_stride, int32_t tiles,
                             int32_t dst_pixel, int32_t dst_block, int32_t adds_pixel,
                             int32_t adds_block, int32_t has_adds, float floor);
typedef void psr_store_sum_kernel(const float *anchor, const int32_t *rows, const float *taps,
                                  const float *residual, uint8_t *dst, int32_t pixels,
                                  int32_t residual_pixel, int32_t dst_pixel);
typedef void psr_store_anchor_kernel(const float *anchor, const int32_t *rows, const float *taps,
                                     uint8_t *dst, int32_t pixels, int32_t dst_pixel);
typedef void psr_store_residual_kernel(const float *residual, uint8_t *dst, int32_t pixels,
                                       int32_t residual_pixel, int32_t dst_pixel);

struct psr_version {
    const char *name;
    uint32_t needs;       /* PSR_CPU_* */
    int32_t group_blocks; /* blocks of output that one kernel computes */
    int32_t tile_pixels[PSR_TILE_SHAPES];
    psr_load_kernel *load;
    psr_conv_kernel *conv[2][2][PSR_TILE_SHAPES]; /* [RGB or blocks][blocks of output - 1] */
    psr_store_sum_kernel *store_sum;
    psr_store_anchor_kernel *store_anchor;
    psr_store_residual_kernel *store_residual;
};

struct psr_conv {
    const float *weights, *bias;
    int32_t in_channels; /* that lie together: PSR_PIXEL or PSR_BLOCK */
    int32_t in_blocks, out_blocks, window_h, window_w;
};

/* Generated: [scale][phase][tap]. */
extern const float psr_bicubic_taps[5][4][PSR_TAPS];

/* The steps of a plan: each computes one row `y` of a value, or nothing outside its margin.
 * Where the frame has a mask, only the columns within reach.
 * `conv` counts in the order of the blob; the number after the last is the anchor's pass. */
void psr_load(const psr_io *io, const psr_plane *dst, int32_t y);
void psr_convolve(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                  const psr_plane *adds, int32_t y, float floor, psr_reach reach);
void psr_store(const psr_io *io, const psr_plane *residual, const psr_plane *anchor,
               const psr_plane *row, int32_t y);

#endif
