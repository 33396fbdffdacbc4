/* What the hand-written runtime and the generated plans share. */
#ifndef PSR_INTERNAL_H
#define PSR_INTERNAL_H

#include "pocketsr.h"

enum {
    PSR_BLOCK = 16,      /* channels that lie together in memory */
    PSR_PIXEL = 4,       /* floats of an input pixel */
    PSR_TAPS = 5,        /* of the bicubic kernel, in LR pixels */
    PSR_MAX_SIDE = 8192, /* of a patch or a frame, in LR pixels */
    PSR_ALIGN = 64,
    PSR_TILE_SHAPES = 3 /* pixel counts of the convolution kernels, falling */
};

/* A value of the network as the plan keeps it: a ring of the rows that are still needed.
 * Row y lies at ((y + bias) mod ring) * row; pixel p, block b of it at p * pixel + b * block. */
typedef struct {
    float *data;
    int32_t ring;               /* rows kept */
    int32_t margin_y, margin_x; /* rows above and below the patch, columns beside it */
    int32_t row, pixel, block;
} psr_plane;

/* A convolution with its weights in the kernels' order. */
typedef struct {
    const float *weights, *bias;
    int32_t in_channels; /* that lie together: PSR_PIXEL or PSR_BLOCK */
    int32_t in_blocks, out_blocks, window_h, window_w;
} psr_conv;

/* One call of psr_upscale. */
typedef struct {
    const uint8_t *lr;
    ptrdiff_t lr_stride;
    uint8_t *hr;
    ptrdiff_t hr_stride;
    int32_t h, w, halo, scale;
} psr_io;

/* convs: the network's, in the order of the blob; then the anchor's horizontal pass. */
typedef void (*psr_path_fn)(const psr_conv *convs, const psr_io *io, float *arena);

typedef struct {
    psr_path_fn run; /* NULL: the network has no such path */
    int32_t halo;
    int64_t arena_per_column, arena_fixed; /* floats: per_column * w + fixed */
} psr_path;

typedef struct {
    uint16_t out, in, window;
    uint8_t shuffled; /* outputs are HR pixels: stored as [dy][dx][colour] */
} psr_conv_spec;

typedef struct {
    uint8_t id, scale, n_widths, n_exits;
    const uint16_t *widths, *exits;
    int32_t n_convs;
    const psr_conv_spec *convs;
    psr_path paths[PSR_PATHS];
} psr_arch;

struct psr_net {
    const psr_arch *arch;
    psr_conv *convs; /* n_convs + 1 */
    float *storage;
};

/* Generated: the architectures of this engine, the bicubic taps [scale][phase][tap], and text. */
extern const psr_arch *const psr_archs[];
extern const int32_t psr_n_archs;
extern const float psr_bicubic_taps[5][4][PSR_TAPS];
extern const char psr_info[];

/* Generated: kernels by (RGB or block input, blocks of output - 1, shape of tile). */
typedef void psr_conv_kernel(const float *src, const int32_t *rows, const float *weights,
                             const float *bias, const float *adds, float *dst, int32_t window_h,
                             int32_t window_w, int32_t in_blocks, int32_t in_stride, int32_t tiles,
                             int32_t dst_pixel, int32_t dst_block, int32_t adds_pixel,
                             int32_t adds_block, int32_t has_adds, float floor);
extern psr_conv_kernel *const psr_conv_kernels[2][2][PSR_TILE_SHAPES];
extern const int32_t psr_tile_pixels[PSR_TILE_SHAPES];
extern const int32_t psr_group_blocks;  /* blocks of output that one kernel computes */
extern const int32_t psr_cache_bytes;   /* what a tile's working set may take */

/* The steps of a plan: each computes one row `y` of a value, or nothing outside its margin. */
void psr_load(const psr_io *io, const psr_plane *dst, int32_t y);
void psr_convolve(const psr_conv *conv, const psr_io *io, const psr_plane *src,
                  const psr_plane *dst, const psr_plane *adds, int32_t y, float floor);
void psr_store(const psr_io *io, const psr_plane *residual, const psr_plane *anchor,
               const psr_plane *row, int32_t y);

/* blob.c */
typedef struct {
    const psr_arch *arch;
    const uint8_t *payload, *tests;
    int32_t dtype, n_tests;
} psr_blob;
int psr_blob_parse(const uint8_t *blob, size_t n, psr_blob *out);

/* pack.c */
int psr_pack(const psr_blob *blob, psr_net *net);

/* selftest.c */
int psr_selftest(const psr_net *net, const psr_blob *blob);

/* memory.c */
void *psr_alloc(size_t bytes);
void psr_free(void *memory);

#endif
