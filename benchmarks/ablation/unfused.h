/* Steps that the engine has fused, each a pass over memory: for the ablation alone. */
#ifndef UNFUSED_H
#define UNFUSED_H

#include "kernels.h"

/* `pixels` pixels of one block: sums, their constants, and where the numbers go. */
typedef void unfused_requantise_kernel(const int32_t *sums, const int32_t *bias, const float *scale,
                                       void *dst, int32_t pixels);
/* Blocks of 16 channels, `block` numbers apart, to r phases, `phase` numbers apart. */
typedef void unfused_shuffle_kernel(const int16_t *src, int16_t *dst, int32_t block, int32_t phase,
                                    int32_t pixels);
typedef void unfused_down_kernel(const int16_t *anchor, const int32_t *rows, const int16_t *taps,
                                 int16_t *dst, int32_t values);
typedef void unfused_add_kernel(const int16_t *a, const int16_t *b, int16_t *dst, int32_t values);

typedef struct {
    const char *version;
    psr_conv_kernel *sums[2][2][PSR_TILE_SHAPES]; /* as psr_version.hidden */
    unfused_requantise_kernel *hidden, *detail;
    unfused_shuffle_kernel *shuffle[5]; /* by scale */
    unfused_down_kernel *down;
    unfused_add_kernel *add;
} unfused_kernels;

/* Generated, one for each version of the engine. */
extern const unfused_kernels unfused_versions[];
extern const int32_t unfused_n_versions;

/* Each computes one row `y` of `dst`, or nothing outside its margin. */
void unfused_sums(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                  int32_t y);
void unfused_requantise(const psr_io *io, int32_t conv, const psr_plane *src, const psr_plane *dst,
                        int32_t y);
void unfused_requantise_detail(const psr_io *io, int32_t conv, const psr_plane *src,
                               const psr_plane *dst, int32_t y);
void unfused_shuffle(const psr_io *io, const psr_plane *src, const psr_plane *dst, int32_t y);
void unfused_anchor_down(const psr_io *io, const psr_plane *src, const psr_plane *dst, int32_t y);
void unfused_add(const psr_io *io, const psr_plane *a, const psr_plane *b, const psr_plane *dst,
                 int32_t y);

#endif
