/* What the hand-written runtime and the generated tables share. */
#ifndef PSR_INTERNAL_H
#define PSR_INTERNAL_H

#include "generated.h"
#include "pocketsr.h"

enum {
    PSR_PIXEL = 4,       /* numbers of an input pixel */
    PSR_TAPS = 5,        /* of the bicubic kernel, in LR pixels */
    PSR_MAX_SIDE = 8192, /* of a patch or a frame, in LR pixels */
    PSR_ALIGN = 64,
    PSR_COLUMNS = 16,     /* the arena is laid out for a multiple of these columns */
    PSR_TILE_SHAPES = 3,  /* pixel counts of the convolution kernels, falling */
    PSR_MAX_CONVS = 2 * PSR_MAX_BLOCKS + 3, /* of wdsr; a chain has fewer */
    PSR_MAX_HR_UNITS = 4 * PSR_MAX_UNITS
};

enum { PSR_PATH_ALL = PSR_PATHS }; /* every path in one loop, each where the mask says so */

/* Number formats of a blob. */
enum { PSR_F32 = 1, PSR_F16 = 2, PSR_INT8 = 3, PSR_INT8_SPARSE = 4, PSR_INT8_CODED = 5 };

/* Architectures, as in a blob. */
enum { PSR_NO_NETWORK = 0, PSR_CHAIN = 1, PSR_ESPCN = 2, PSR_WDSR = 3 };

/* A value of the network as the plan keeps it: a ring of the rows that are still needed.
 * Row y lies at ((y + bias) mod ring) * row; place p, block b of it at p * pixel + b * block.
 * All in bytes. A place is a unit of u x u LR pixels. */
typedef struct {
    uint8_t *data;
    int32_t ring;               /* rows kept */
    int32_t margin_y, margin_x; /* rows above and below the patch, columns beside it */
    int32_t row, pixel, block;
} psr_plane;

typedef struct psr_conv psr_conv;       /* a convolution packed for a version: kernels.h */
typedef struct psr_version psr_version; /* kernels for one instruction set: kernels.h */
typedef struct psr_mask psr_mask;       /* which patch takes which path: mask.h */

/* Width for which planes are placed: then 4 bytes a column keep to PSR_ALIGN without padding. */
static inline int32_t psr_columns(int32_t w) {
    return (w + PSR_COLUMNS - 1) / PSR_COLUMNS * PSR_COLUMNS;
}

/* One layer: outputs, inputs, side of its window. */
typedef struct {
    uint16_t out, in, window;
    uint8_t shuffled;    /* outputs are HR pixels: stored as [dy][dx][colour] */
    uint8_t reads_input; /* inputs are LR pixels: stored as [dy][dx][colour] */
} psr_conv_spec;

/* A network's shape, as its blob says it; scale p / q on units of `units` LR pixels. */
typedef struct {
    int32_t id, p, q, units, n_widths, n_exits;
    int32_t side; /* HR pixels on a side of what a unit becomes */
    uint16_t widths[PSR_MAX_DEPTH], exits[PSR_MAX_EXITS];
    int32_t n_convs;
    psr_conv_spec convs[PSR_MAX_CONVS]; /* in the order of the blob */
} psr_arch;

/* One patch. `convs`: the network's, in the order of the blob. `mask`: of the frame in which the
 * patch lies at (y, x), for the plan of all paths; NULL for the others. All sizes are in places
 * but those of HR: the last places of a frame may be cut. */
typedef struct {
    const psr_version *version;
    const psr_conv *convs;
    const psr_arch *arch;
    const psr_mask *mask;
    int32_t y, x;
    const uint8_t *lr;
    ptrdiff_t lr_stride;
    uint8_t *hr;
    ptrdiff_t hr_stride;
    int32_t h, w, halo;
    int32_t hr_h, hr_w;
} psr_io;

/* How far beyond a patch of each path a value is needed, or -1 where the path does not read it. */
typedef struct {
    int32_t of[PSR_PATHS];
} psr_reach;

struct psr_step_row;
struct psr_value_row;

/* A step of the loop over rows, and a value's place: plan.h has the generated rows. */
typedef struct {
    const struct psr_step_row *row;
    int32_t conv; /* number in the blob, where the step is a convolution */
    psr_reach reach;
} psr_step;

typedef struct {
    const struct psr_value_row *row;
    int32_t ring, blocks, pixel;
    int64_t per_column, fixed; /* offset in the arena: per_column * psr_columns(w) + fixed */
} psr_place;

/* A path's plan. `steps` NULL: the network has no such path. */
typedef struct {
    int32_t halo, depth; /* places around the patch; rows from the input's to the output's */
    int32_t n_steps, n_places;
    psr_step *steps;
    psr_place *places;
    int64_t per_column, fixed; /* of the arena, as of a place */
} psr_plan;

struct psr_net {
    psr_arch arch;
    psr_plan plans[PSR_PATHS + 1]; /* the last: PSR_PATH_ALL */
    const psr_version *version;
    psr_conv *convs;
    void *storage;
};

/* Generated: the number format of this engine, and text. */
extern const int32_t psr_is_int8;
extern const int32_t psr_cache_bytes; /* what a tile's working set may take */
extern const char psr_build_text[];

/* Generated: the versions of the kernels, the best first; the last runs wherever the engine does. */
extern const psr_version *const psr_versions[];
extern const int32_t psr_n_versions;

/* versions.c: what every version says of itself, whatever its number format. */
const psr_version *psr_version_in_use(void);
const char *psr_version_name(const psr_version *version);
uint32_t psr_version_needs(const psr_version *version);

/* cpu.c: PSR_CPU_* of this processor, as far as the system lets them be used. */
uint32_t psr_cpu_features(void);

/* net.c: also for PSR_PATH_ALL. */
const psr_plan *psr_plan_of(const psr_net *net, int path);
size_t psr_plan_arena_bytes(const psr_plan *plan, int32_t w);

/* arch.c: fills what follows from id, scale, units, widths and exits; returns what is outside the
 * family, or NULL. */
const char *psr_arch_complete(psr_arch *arch);
int32_t psr_arch_depth(const psr_arch *arch);
int psr_exit_of(const psr_arch *arch, int path); /* place in `exits`, or -1 */

/* blob.c: `why` says what is wrong, where something is. */
typedef struct {
    psr_arch arch;
    const uint8_t *payload, *tests;
    size_t payload_bytes;
    int32_t dtype, n_tests;
    const char *why;
} psr_blob;
int psr_blob_parse(const uint8_t *blob, size_t n, psr_blob *out);
size_t psr_dense_bytes(const psr_conv_spec *spec, int dtype); /* of PSR_INT8 and of floats */
static inline size_t psr_test_bytes(int dtype) { /* of a path's row: samples, or a checksum */
    return 1 + (dtype == PSR_INT8_CODED ? 4 : 64);
}
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
