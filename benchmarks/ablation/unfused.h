/* Steps that the engine has fused, each a pass over memory: for the ablation alone. */
#ifndef UNFUSED_H
#define UNFUSED_H

#include "kernels.h"
#include "plan.h"

/* `pixels` pixels of one block: sums, their constants, and where the numbers go. */
typedef void unfused_requantise_kernel(const int32_t *sums, const int32_t *bias, const float *scale,
                                       void *dst, int32_t pixels);
/* `pixels` blocks of 16 numbers, whose first `width` go side by side. */
typedef void unfused_shuffle_kernel(const int16_t *src, int16_t *dst, int32_t width,
                                    int32_t pixels);
typedef void unfused_down_kernel(const int16_t *anchor, const int32_t *rows, const int16_t *taps,
                                 int16_t *dst, int32_t values);
typedef void unfused_add_kernel(const int16_t *a, const int16_t *b, int16_t *dst, int32_t values);

typedef struct {
    const char *version;
    psr_conv_kernel *sums[2][2][PSR_TILE_SHAPES]; /* as psr_version.hidden */
    unfused_requantise_kernel *hidden, *detail;
    unfused_shuffle_kernel *shuffle;
    unfused_down_kernel *down;
    unfused_add_kernel *add;
} unfused_kernels;

/* Generated, one for each version of the engine. */
extern const unfused_kernels unfused_versions[];
extern const int32_t unfused_n_versions;

/* Steps behind those of plan.h. */
enum {
    UNFUSED_SUMS = PSR_DETAIL + 1,
    UNFUSED_HIDDEN, /* sums to bytes */
    UNFUSED_DETAIL, /* sums to s16 */
    UNFUSED_SHUFFLE,
    UNFUSED_ANCHOR_DOWN,
    UNFUSED_ADD
};

/* Row `y` of `result`, or nothing outside its margin; `conv`: the layer whose constants are taken. */
void unfused_row(const psr_io *io, int op, int32_t conv, const psr_plane *source,
                 const psr_plane *adds, const psr_plane *result, int32_t y);

#endif
