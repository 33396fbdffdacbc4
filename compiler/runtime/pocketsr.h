/* PocketSR engine: upscales RGB frames with networks given as weights blobs.
 *
 * No dependency but the C library and threads. Every function but psr_pool_* and psr_frame is
 * safe to call from any thread; a pool serves one psr_frame at a time (a second one waits).
 * Images are RGB24, rows `stride` bytes apart; sizes are in pixels. LR is the low-resolution
 * picture, HR the upscaled one, r times as high and wide: 1, 3/2, 2, 3 or 4 (psr_hr_px).
 *
 * One engine plays every network of the family: scales, units, widths, depths and exits within the
 * limits of the format. What it runs is derived when a blob is opened.
 */
#ifndef POCKETSR_H
#define POCKETSR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PSR_API __attribute__((visibility("default")))
#else
#define PSR_API
#endif

enum {
    PSR_OK = 0,
    PSR_E_FORMAT = 1,   /* not a weights blob of this version, or its length is wrong */
    PSR_E_ARCH = 2,     /* a network outside the family, or of the other number format */
    PSR_E_CRC = 3,      /* damaged */
    PSR_E_LIMIT = 4,    /* a number in the blob is outside its limits */
    PSR_E_SELFTEST = 5, /* the engine's output is not what the blob says it must be */
    PSR_E_NOMEM = 6,
    PSR_E_ARG = 7       /* an argument of the call is wrong */
};

/* Hard is the deepest path of every network; between it and easy lie middle and upper. */
enum {
    PSR_PATH_BICUBIC = 0,
    PSR_PATH_EASY = 1,
    PSR_PATH_HARD = 2,
    PSR_PATH_MIDDLE = 3,
    PSR_PATH_UPPER = 4,
    PSR_PATHS = 5
};

typedef struct psr_net psr_net;
typedef struct psr_pool psr_pool;
typedef struct psr_router psr_router;

/* A rectangle of the frame in LR pixels, without halo: upscaled by nets[net] on `path`. It begins
 * at multiples of the network's units, and ends there or with the frame. */
typedef struct {
    int32_t y, x, h, w, net, path;
} psr_patch;

/* The version of this interface: 4. */
PSR_API uint32_t psr_abi(void);

/* What this engine is: a JSON object with target, dtype, isas, family, version. */
PSR_API const char *psr_build_info(void);

/* The kernels that networks are opened for: the name of an instruction set. The best that the
 * processor has, unless psr_select_isa names another; a network keeps the one it was opened for.
 * Returns PSR_E_ARG where the engine has no such kernels, or the processor cannot run them. */
PSR_API const char *psr_isa(void);
PSR_API int psr_select_isa(const char *name);

/* Checks a weights blob, unpacks it and runs its self-test. On success *out is the network. */
PSR_API int psr_net_open(const uint8_t *blob, size_t n, psr_net **out);
PSR_API void psr_net_close(psr_net *net);

/* What is wrong with a blob that psr_net_open refuses, with the limit's name; NULL where that is
 * only found when it runs (PSR_E_NOMEM, PSR_E_SELFTEST, sums and multipliers out of range). */
PSR_API const char *psr_fault(const uint8_t *blob, size_t n);

/* HR pixels that come of so many LR pixels on a side; half a pixel counts as one. */
PSR_API int psr_hr_px(const psr_net *net, int lr_px);

/* LR pixels on a side of the units that the network sees as one place each. */
PSR_API int psr_unit_px(const psr_net *net);

/* The network as a JSON object: architecture, scale, units, widths, exits, and for each path its
 * halo, and MACs and arena of a patch of h x w. psr_explain: a path's plan, its values and steps
 * in order; path PSR_PATHS is all paths in one loop. Both write at most n bytes with the 0 at the
 * end, and return how many characters there are, or 0 for wrong arguments. */
PSR_API int psr_info(const psr_net *net, int h, int w, char *out, size_t n);
PSR_API int psr_explain(const psr_net *net, int path, char *out, size_t n);

/* Pixels of context that a path reads on every side, or -1 where the network has no such path. */
PSR_API int psr_halo_px(const psr_net *net, int path);

/* Bytes of arena that psr_upscale needs for a patch of h x w, or 0 for wrong arguments. */
PSR_API size_t psr_arena_bytes(const psr_net *net, int path, int h, int w);

/* Upscales one patch. `lr` points at the first byte of the halo: (h + 2R) x (w + 2R) pixels with
 * R = psr_halo_px; `hr` receives r h x r w pixels. h and w are multiples of psr_unit_px. `arena` has
 * psr_arena_bytes bytes, aligned to 64; it needs no initialisation. Allocates nothing. */
PSR_API int psr_upscale(const psr_net *net, int path, const uint8_t *lr, ptrdiff_t lr_stride, int h,
                        int w, uint8_t *hr, ptrdiff_t hr_stride, void *arena);

/* A pool of `threads` threads (1..64), the caller's own among them. */
PSR_API int psr_pool_open(int threads, psr_pool **out);
PSR_API void psr_pool_close(psr_pool *pool);

/* Upscales the patches of a whole frame of h x w pixels; beyond the frame's edge its outermost
 * pixels are repeated. Patches should not overlap. The result does not depend on the number of
 * threads, nor on how the frame is cut into patches of equal path. */
PSR_API int psr_frame(psr_pool *pool, const psr_net *const *nets, int n_nets,
                      const psr_patch *patches, int n_patches, const uint8_t *lr,
                      ptrdiff_t lr_stride, int h, int w, uint8_t *hr, ptrdiff_t hr_stride);

/* A router decides the paths of video that brings none: it looks at an LR frame and names one for
 * each of its cells. Checks a router blob, unpacks it and runs its self-test; a router keeps the
 * kernels it was opened for. On success *out is the router. */
PSR_API int psr_router_open(const uint8_t *blob, size_t n, psr_router **out);
PSR_API void psr_router_close(psr_router *router);

/* LR pixels of a cell, across and down; for how many frames a decision should be kept. */
PSR_API int psr_router_cell_px(const psr_router *router);
PSR_API int psr_router_hold_frames(const psr_router *router);

/* Bytes of arena that psr_route needs for a frame of h x w, or 0 for wrong arguments. */
PSR_API size_t psr_router_arena_bytes(const psr_router *router, int h, int w);

/* The path PSR_PATH_* of each cell, into ceil(h / cell) x ceil(w / cell) bytes, row by row. The
 * arena is as for psr_upscale. Allocates nothing. */
PSR_API int psr_route(const psr_router *router, const uint8_t *lr, ptrdiff_t lr_stride, int h,
                      int w, uint8_t *paths, void *arena);

#ifdef __cplusplus
}
#endif
#endif
