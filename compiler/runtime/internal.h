/* What the hand-written runtime and the generated plans share. */
#ifndef PSR_INTERNAL_H
#define PSR_INTERNAL_H

#include "generated.h"
#include "pocketsr.h"

enum {
    PSR_PIXEL = 4,       /* numbers of an input pixel */
    PSR_TAPS = 5,        /* of the bicubic kernel, in LR pixels */
    PSR_MAX_SIDE = 8192, /* of a patch or a frame, in LR pixels */
    PSR_ALIGN = 64,
    PSR_COLUMNS = 16,    /* the arena is laid out for a multiple of these columns */
    PSR_TILE_SHAPES = 3 /* pixel counts of the convolution kernels, falling */
};

enum { PSR_PATH_ALL = PSR_PATHS }; /* every path in one loop, each where the mask says so */

/* Number formats of a blob. */
enum { PSR_F32 = 1, PSR_F16 = 2, PSR_INT8 = 3, PSR_INT8_SPARSE = 4 };

/* A value of the network as the plan keeps it: a ring of the rows that are still needed.
 * Row y lies at ((y + bias) mod ring) * row; pixel p, block b of it at p * pixel + b * block.
 * All in bytes. */
typedef struct {
    uint8_t *data;
    int32_t ring;               /* rows kept */
    int32_t margin_y, margin_x; /* rows above and below the patch, columns beside it */
    int32_t row, pixel, block;
} psr_plane;

typedef struct psr_conv psr_conv;       /* a convolution packed for a version: kernels.h */
typedef struct psr_version psr_version; /* kernels for one instruction set: kernels.h */

/* Width for which planes are placed: then 4 bytes a column keep to PSR_ALIGN without padding. */
static inline int32_t psr_columns(int32_t w) {
    return (w + PSR_COLUMNS - 1) / PSR_COLUMNS * PSR_COLUMNS;
}

typedef struct psr_mask psr_mask; /* which patch takes which path: mask.h */

/* One patch. `convs`: the network's, in the order of the blob. `mask`: of the frame in which the
 * patch lies at (y, x), for the plan of all paths; NULL for the others. */
typedef struct {
    const psr_version *version;
    const psr_conv *convs;
    const psr_mask *mask;
    int32_t y, x;
    const uint8_t *lr;
    ptrdiff_t lr_stride;
    uint8_t *hr;
    ptrdiff_t hr_stride;
    int32_t h, w, halo, scale;
} psr_io;

typedef void (*psr_path_fn)(const psr_io *io, uint8_t *arena);

typedef struct {
    psr_path_fn run; /* NULL: the network has no such path */
    int32_t halo;
    int64_t arena_per_column, arena_fixed; /* bytes: per_column * psr_columns(w) + fixed */
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
    psr_path paths[PSR_PATHS + 1]; /* the last: PSR_PATH_ALL */
} psr_arch;

struct psr_net {
    const psr_arch *arch;
    const psr_version *version;
    psr_conv *convs;
    void *storage;
};

/* Generated: the architectures and the number format of this engine, and text. */
extern const psr_arch *const psr_archs[];
extern const int32_t psr_n_archs;
extern const int32_t psr_is_int8;
extern const int32_t psr_cache_bytes; /* what a tile's working set may take */
extern const char psr_info[];

/* Generated: the versions of the kernels, the best first; the last runs wherever the engine does. */
extern const psr_version *const psr_versions[];
extern const int32_t psr_n_versions;

/* versions.c: what every version says of itself, whatever its number format. */
const psr_version *psr_version_in_use(void);
const char *psr_version_name(const psr_version *version);
uint32_t psr_version_needs(const psr_version *version);

/* cpu.c: PSR_CPU_* of this processor, as far as the system lets them be used. */
uint32_t psr_cpu_features(void);

/* net.c: also for PSR_PATH_ALL. A path that the network lacks has no `run`. */
const psr_path *psr_path_of(const psr_net *net, int path);
size_t psr_path_arena_bytes(const psr_path *path, int32_t w);

/* blob.c */
typedef struct {
    const psr_arch *arch;
    const uint8_t *payload, *tests;
    int32_t dtype, n_tests;
} psr_blob;
int psr_blob_parse(const uint8_t *blob, size_t n, psr_blob *out);
static inline size_t psr_bitmap_bytes(size_t weights) { return (weights + 7) / 8; }
size_t psr_count_bits(const uint8_t *bitmap, size_t bytes);

/* pack.c: fills version, convs and storage of a network whose arch is set. */
int psr_pack(const psr_blob *blob, psr_net *net);

/* selftest.c */
int psr_selftest(const psr_net *net, const psr_blob *blob);

/* memory.c */
void *psr_alloc(size_t bytes);
void psr_free(void *memory);

#endif
