/* A whole frame: patches cut into tiles that stay in the cache, tiles over a pool of threads. */
#include <stdlib.h>
#include <string.h>

#include "pool.h"

/* A frame makes about TILES_A_THREAD tiles for each thread, so that a slow one holds up little.
 * Rows are cut for that reason alone: a tile's upper and lower border are computed twice. */
enum { TILES_A_THREAD = 3, LEAST_ROWS = 32, MAX_TILES = 1 << 20 };

typedef struct {
    const psr_net *const *nets;
    const psr_patch *tiles;
    const uint8_t *lr;
    uint8_t *hr;
    ptrdiff_t lr_stride, hr_stride;
    int32_t h, w, threads;
} frame;

static int32_t clamp(int32_t value, int32_t most) {
    return value < 0 ? 0 : value > most ? most : value;
}

static size_t halo_bytes(const psr_patch *tile, int32_t halo) {
    return (size_t)(tile->h + 2 * halo) * (size_t)(tile->w + 2 * halo) * 3;
}

static int is_inside(const frame *f, const psr_patch *tile, int32_t halo) {
    return tile->y >= halo && tile->x >= halo && tile->y + tile->h + halo <= f->h &&
           tile->x + tile->w + halo <= f->w;
}

/* The tile with its halo, the frame's outermost pixels repeated beyond its edge. */
static void copy_with_halo(const frame *f, const psr_patch *tile, int32_t halo, uint8_t *out) {
    for (int32_t y = tile->y - halo; y < tile->y + tile->h + halo; ++y) {
        const uint8_t *row = f->lr + (ptrdiff_t)clamp(y, f->h - 1) * f->lr_stride;
        for (int32_t x = tile->x - halo; x < tile->x + tile->w + halo; ++x, out += 3)
            memcpy(out, row + 3 * (ptrdiff_t)clamp(x, f->w - 1), 3);
    }
}

static void run_tile(void *context, int32_t task, void *memory) {
    const frame *f = context;
    const psr_patch *tile = &f->tiles[task];
    const psr_net *net = f->nets[tile->net];
    const int32_t halo = psr_halo_px(net, tile->path), scale = psr_net_scale(net);
    uint8_t *edge = (uint8_t *)memory + psr_arena_bytes(net, tile->path, tile->h, tile->w);
    const uint8_t *lr = edge;
    ptrdiff_t stride = 3 * (ptrdiff_t)(tile->w + 2 * halo);
    if (is_inside(f, tile, halo)) {
        stride = f->lr_stride;
        lr = f->lr + (ptrdiff_t)(tile->y - halo) * stride + 3 * (ptrdiff_t)(tile->x - halo);
    } else {
        copy_with_halo(f, tile, halo, edge);
    }
    uint8_t *hr = f->hr + (ptrdiff_t)tile->y * scale * f->hr_stride + (ptrdiff_t)tile->x * scale * 3;
    psr_upscale(net, tile->path, lr, stride, tile->h, tile->w, hr, f->hr_stride, memory);
}

static int is_patch(const psr_patch *p, const psr_net *const *nets, int n_nets, int h, int w) {
    if (p->net < 0 || p->net >= n_nets || psr_halo_px(nets[p->net], p->path) < 0) return 0;
    if (psr_net_scale(nets[p->net]) != psr_net_scale(nets[0])) return 0;
    return p->h >= 1 && p->w >= 1 && p->y >= 0 && p->x >= 0 && p->h <= h && p->w <= w &&
           p->y <= h - p->h && p->x <= w - p->w;
}

/* Parts of equal size, none above `most`. */
static int32_t parts_of(int32_t length, int32_t most) { return (length + most - 1) / most; }

/* Columns of a tile: as many as keep its rings of rows in the cache. */
static int32_t tile_columns(const psr_net *net, int path) {
    const int64_t per_column = net->arch->paths[path].arena_per_column;
    const int64_t columns = psr_cache_bytes / per_column;
    return columns < 64 ? 64 : columns > 1024 ? 1024 : (int32_t)columns;
}

typedef struct {
    int32_t rows, columns;
} cuts;

/* Into how many tiles a patch is cut. A patch that is the whole frame makes a multiple of
 * `threads`, so that all threads end together. */
static cuts cuts_of(const psr_patch *p, const frame *f) {
    const int64_t frame_px = (int64_t)f->h * f->w, patch_px = (int64_t)p->h * p->w;
    const int64_t tiles = f->threads > 1 ? f->threads * TILES_A_THREAD * patch_px / frame_px : 1;
    cuts c = {1, parts_of(p->w, tile_columns(f->nets[p->net], p->path))};
    while (p->h / (c.rows + 1) >= LEAST_ROWS &&
           (c.rows * c.columns < tiles ||
            (patch_px == frame_px && c.rows * c.columns % f->threads != 0)))
        ++c.rows;
    return c;
}

static psr_patch *cut(const psr_patch *p, cuts c, psr_patch *out) {
    for (int32_t i = 0; i < c.rows; ++i)
        for (int32_t j = 0; j < c.columns; ++j) {
            const int32_t y = p->h * i / c.rows, x = p->w * j / c.columns;
            *out++ = (psr_patch){p->y + y, p->x + x, p->h * (i + 1) / c.rows - y,
                                 p->w * (j + 1) / c.columns - x, p->net, p->path};
        }
    return out;
}

static size_t tile_bytes(const psr_patch *tile, const psr_net *const *nets) {
    const psr_net *net = nets[tile->net];
    return psr_arena_bytes(net, tile->path, tile->h, tile->w) +
           halo_bytes(tile, psr_halo_px(net, tile->path));
}

/* Checks every patch and counts the tiles; -1 where a patch is wrong. */
static int64_t count_tiles(const frame *f, const psr_patch *patches, int n_patches, int n_nets) {
    int64_t n = 0;
    for (int i = 0; i < n_patches; ++i) {
        if (!is_patch(&patches[i], f->nets, n_nets, f->h, f->w)) return -1;
        const cuts c = cuts_of(&patches[i], f);
        n += (int64_t)c.rows * c.columns;
    }
    return n <= MAX_TILES ? n : -1;
}

static size_t most_bytes(const frame *f, int64_t n) {
    size_t most = 0;
    for (int64_t i = 0; i < n; ++i) {
        const size_t bytes = tile_bytes(&f->tiles[i], f->nets);
        most = bytes > most ? bytes : most;
    }
    return most;
}

int psr_frame(psr_pool *pool, const psr_net *const *nets, int n_nets, const psr_patch *patches,
              int n_patches, const uint8_t *lr, ptrdiff_t lr_stride, int h, int w, uint8_t *hr,
              ptrdiff_t hr_stride) {
    if (!pool || !nets || n_nets < 1 || n_patches < 0 || !lr || !hr) return PSR_E_ARG;
    if (h < 1 || w < 1 || h > PSR_MAX_SIDE || w > PSR_MAX_SIDE) return PSR_E_ARG;
    if (n_patches > 0 && !patches) return PSR_E_ARG;
    frame f = {nets, NULL, lr, hr, lr_stride, hr_stride, h, w, psr_pool_threads(pool)};
    const int64_t n = count_tiles(&f, patches, n_patches, n_nets);
    if (n <= 0) return n < 0 ? PSR_E_ARG : PSR_OK;
    psr_patch *tiles = malloc((size_t)n * sizeof *tiles), *end = tiles;
    if (!tiles) return PSR_E_NOMEM;
    for (int i = 0; i < n_patches; ++i) end = cut(&patches[i], cuts_of(&patches[i], &f), end);
    f.tiles = tiles;
    const int error = psr_pool_run(pool, run_tile, &f, (int32_t)n, most_bytes(&f, n));
    free(tiles);
    return error;
}
