/* A whole frame: patches cut into tiles that stay in the cache, tiles over a pool of threads. */
#include <string.h>

#include "combine.h"
#include "plan.h"
#include "pool.h"

/* A frame makes about TILES_A_THREAD tiles for each thread, so that a slow one holds up little.
 * Rows are cut for that reason alone: a tile's upper and lower border are computed twice. Short
 * tiles are made only as far as every thread needs one. */
enum { TILES_A_THREAD = 3, LEAST_ROWS = 16, EVEN_ROWS = 64, MAX_TILES = 1 << 20 };

typedef struct {
    const psr_net *const *nets;
    const psr_patch *tiles; /* in places of their networks, as all patches below run_frame */
    const psr_mask *mask; /* where the tiles are cut from combined patches */
    const uint8_t *lr;
    uint8_t *hr;
    ptrdiff_t lr_stride, hr_stride;
    int32_t h, w, threads;
} frame;

static int32_t clamp(int32_t value, int32_t most) {
    return value < 0 ? 0 : value > most ? most : value;
}

static int32_t units_of(const frame *f, const psr_patch *tile) {
    return f->nets[tile->net]->arch.units;
}

/* A tile's sides with its halo, in LR pixels. */
static size_t halo_bytes(const psr_patch *tile, int32_t halo, int32_t u) {
    return (size_t)(tile->h + 2 * halo) * (size_t)(tile->w + 2 * halo) * 3 * u * u;
}

static int is_inside(const frame *f, const psr_patch *tile, int32_t halo, int32_t u) {
    return tile->y >= halo && tile->x >= halo && (tile->y + tile->h + halo) * u <= f->h &&
           (tile->x + tile->w + halo) * u <= f->w;
}

static void repeat(const uint8_t *pixel, int32_t n, uint8_t *out) {
    for (int32_t i = 0; i < n; ++i) memcpy(out + 3 * i, pixel, 3);
}

/* The tile with its halo, the frame's outermost pixels repeated beyond its edge. */
static void copy_with_halo(const frame *f, const psr_patch *tile, int32_t halo, int32_t u,
                           uint8_t *out) {
    const int32_t left = (tile->x - halo) * u, right = (tile->x + tile->w + halo) * u;
    const int32_t from = clamp(left, f->w - 1), to = clamp(right, f->w);
    for (int32_t y = (tile->y - halo) * u; y < (tile->y + tile->h + halo) * u; ++y) {
        const uint8_t *row = f->lr + (ptrdiff_t)clamp(y, f->h - 1) * f->lr_stride;
        repeat(row, from - left, out);
        out += 3 * (from - left);
        memcpy(out, row + 3 * (ptrdiff_t)from, 3 * (size_t)(to - from));
        out += 3 * (to - from);
        repeat(row + 3 * (ptrdiff_t)(f->w - 1), right - to, out);
        out += 3 * (right - to);
    }
}

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static void run_tile(void *context, int32_t task, void *memory) {
    const frame *f = context;
    const psr_patch *tile = &f->tiles[task];
    const psr_net *net = f->nets[tile->net];
    const psr_plan *plan = psr_plan_of(net, tile->path);
    const int32_t halo = plan->halo, u = net->arch.units, side = net->arch.side;
    uint8_t *edge = (uint8_t *)memory + psr_plan_arena_bytes(plan, tile->w);
    psr_io io = {.version = net->version,
                 .convs = net->convs,
                 .arch = &net->arch,
                 .mask = tile->path == PSR_PATH_ALL ? f->mask : NULL,
                 .y = tile->y,
                 .x = tile->x,
                 .lr = edge,
                 .lr_stride = 3 * (ptrdiff_t)(tile->w + 2 * halo) * u,
                 .hr_stride = f->hr_stride,
                 .h = tile->h,
                 .w = tile->w,
                 .halo = halo,
                 .hr_h = least(tile->h * side, psr_hr_px(net, f->h) - tile->y * side),
                 .hr_w = least(tile->w * side, psr_hr_px(net, f->w) - tile->x * side)};
    if (is_inside(f, tile, halo, u)) {
        io.lr_stride = f->lr_stride;
        io.lr = f->lr + (ptrdiff_t)(tile->y - halo) * u * f->lr_stride +
                3 * (ptrdiff_t)(tile->x - halo) * u;
    } else {
        copy_with_halo(f, tile, halo, u, edge);
    }
    io.hr = f->hr + (ptrdiff_t)tile->y * side * f->hr_stride + (ptrdiff_t)tile->x * side * 3;
    psr_run(plan, &io, memory);
}

static int is_same_scale(const psr_arch *a, const psr_arch *b) {
    return a->p == b->p && a->q == b->q;
}

/* Whether a patch begins at multiples of its units, and ends there or with the frame. */
static int is_whole(const psr_patch *p, int32_t u, int h, int w) {
    return p->y % u == 0 && p->x % u == 0 && (p->h % u == 0 || p->y + p->h == h) &&
           (p->w % u == 0 || p->x + p->w == w);
}

static int is_patch(const psr_patch *p, const psr_net *const *nets, int n_nets, int h, int w) {
    if (p->net < 0 || p->net >= n_nets || psr_halo_px(nets[p->net], p->path) < 0) return 0;
    if (!is_same_scale(&nets[p->net]->arch, &nets[0]->arch)) return 0;
    return p->h >= 1 && p->w >= 1 && p->y >= 0 && p->x >= 0 && p->h <= h && p->w <= w &&
           p->y <= h - p->h && p->x <= w - p->w && is_whole(p, nets[p->net]->arch.units, h, w);
}

/* Parts of equal size, none above `most`. */
static int32_t parts_of(int32_t length, int32_t most) { return (length + most - 1) / most; }

/* Columns of a tile: as many as keep its rings of rows in the cache. */
static int32_t tile_columns(const psr_net *net, int path) {
    const int64_t per_column = psr_plan_of(net, path)->per_column;
    const int64_t columns = psr_cache_bytes / (per_column ? per_column : 1);
    return columns < 64 ? 64 : columns > 1024 ? 1024 : (int32_t)columns;
}

typedef struct {
    int32_t rows, columns;
} cuts;

/* Into how many tiles a patch is cut. A patch that is the whole frame makes a multiple of
 * `threads`, so that all threads end together. */
static cuts cuts_of(const psr_patch *p, const frame *f) {
    const int32_t u = units_of(f, p);
    const int64_t frame_px = (int64_t)((f->h + u - 1) / u) * ((f->w + u - 1) / u);
    const int64_t patch_px = (int64_t)p->h * p->w;
    const int64_t tiles = f->threads > 1 ? f->threads * TILES_A_THREAD * patch_px / frame_px : 1;
    cuts c = {1, parts_of(p->w, tile_columns(f->nets[p->net], p->path))};
    while (p->h / (c.rows + 1) >= (c.rows * c.columns < f->threads ? LEAST_ROWS : EVEN_ROWS) &&
           (c.rows * c.columns < tiles ||
            (patch_px == frame_px && c.rows * c.columns % f->threads != 0)))
        ++c.rows;
    return c;
}

/* Where column j of the tiles begins: at a multiple of PSR_UNIT, as a mask's spans do. */
static int32_t column_at(const psr_patch *p, cuts c, int32_t j) {
    return j == c.columns ? p->w : p->w * j / c.columns / PSR_UNIT * PSR_UNIT;
}

static psr_patch *cut(const psr_patch *p, cuts c, psr_patch *out) {
    for (int32_t i = 0; i < c.rows; ++i)
        for (int32_t j = 0; j < c.columns; ++j) {
            const int32_t y = p->h * i / c.rows, x = column_at(p, c, j);
            *out++ = (psr_patch){p->y + y, p->x + x, p->h * (i + 1) / c.rows - y,
                                 column_at(p, c, j + 1) - x, p->net, p->path};
        }
    return out;
}

static size_t tile_bytes(const psr_patch *tile, const psr_net *const *nets) {
    const psr_plan *plan = psr_plan_of(nets[tile->net], tile->path);
    const int32_t u = nets[tile->net]->arch.units;
    return psr_plan_arena_bytes(plan, tile->w) + halo_bytes(tile, plan->halo, u);
}

static int are_patches(const frame *f, const psr_patch *patches, int n_patches, int n_nets) {
    for (int i = 0; i < n_patches; ++i)
        if (!is_patch(&patches[i], f->nets, n_nets, f->h, f->w)) return 0;
    return 1;
}

static int64_t count_tiles(const frame *f, const psr_patch *patches, int n_patches) {
    int64_t n = 0;
    for (int i = 0; i < n_patches; ++i) {
        const cuts c = cuts_of(&patches[i], f);
        n += (int64_t)c.rows * c.columns;
    }
    return n;
}

static size_t most_bytes(const frame *f, int64_t n) {
    size_t most = 0;
    for (int64_t i = 0; i < n; ++i) {
        const size_t bytes = tile_bytes(&f->tiles[i], f->nets);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int run_patches(frame *f, psr_pool *pool, const psr_patch *patches, int n_patches) {
    const int64_t n = count_tiles(f, patches, n_patches);
    if (n > MAX_TILES) return PSR_E_ARG;
    psr_patch *tiles = psr_pool_scratch(pool, PSR_SCRATCH_TILES, (size_t)n * sizeof *tiles);
    if (!tiles) return PSR_E_NOMEM;
    psr_patch *end = tiles;
    for (int i = 0; i < n_patches; ++i) end = cut(&patches[i], cuts_of(&patches[i], f), end);
    f->tiles = tiles;
    return psr_pool_run(pool, run_tile, f, (int32_t)n, most_bytes(f, n));
}

/* All patches in one loop over rows: no halo between them is computed twice. */
static int run_combined(frame *f, psr_pool *pool, const psr_patch *patches, int n_patches,
                        int32_t rows, int32_t columns) {
    const size_t bytes = psr_mask_bytes(patches, n_patches, rows);
    void *memory = psr_pool_scratch(pool, PSR_SCRATCH_MASK, bytes);
    if (!memory) return PSR_E_NOMEM;
    const psr_mask mask = psr_make_mask(patches, n_patches, rows, memory);
    const psr_patch whole = {0, 0, rows, columns, patches[0].net, PSR_PATH_ALL};
    f->mask = &mask;
    return run_patches(f, pool, &whole, 1);
}

/* A patch in places of its network: where the frame ends within one, all of it. */
static psr_patch in_places(const frame *f, const psr_patch *p) {
    const int32_t u = units_of(f, p);
    return (psr_patch){p->y / u, p->x / u, (p->h + u - 1) / u, (p->w + u - 1) / u, p->net, p->path};
}

static int run_frame(frame *f, psr_pool *pool, const psr_patch *patches, int n_patches) {
    psr_patch *placed =
        psr_pool_scratch(pool, PSR_SCRATCH_PATCHES, (size_t)n_patches * sizeof *placed);
    if (!placed) return PSR_E_NOMEM;
    for (int i = 0; i < n_patches; ++i) placed[i] = in_places(f, &patches[i]);
    const int32_t u = units_of(f, placed), rows = (f->h + u - 1) / u, columns = (f->w + u - 1) / u;
    return psr_can_combine(f->nets, placed, n_patches, rows, columns)
               ? run_combined(f, pool, placed, n_patches, rows, columns)
               : run_patches(f, pool, placed, n_patches);
}

int psr_frame(psr_pool *pool, const psr_net *const *nets, int n_nets, const psr_patch *patches,
              int n_patches, const uint8_t *lr, ptrdiff_t lr_stride, int h, int w, uint8_t *hr,
              ptrdiff_t hr_stride) {
    if (!pool || !nets || n_nets < 1 || n_patches < 0 || !lr || !hr) return PSR_E_ARG;
    if (h < 1 || w < 1 || h > PSR_MAX_SIDE || w > PSR_MAX_SIDE) return PSR_E_ARG;
    if ((n_patches > 0 && !patches) || lr_stride != (int32_t)lr_stride) return PSR_E_ARG;
    frame f = {.nets = nets,
               .lr = lr,
               .hr = hr,
               .lr_stride = lr_stride,
               .hr_stride = hr_stride,
               .h = h,
               .w = w,
               .threads = psr_pool_threads(pool)};
    if (!are_patches(&f, patches, n_patches, n_nets)) return PSR_E_ARG;
    if (n_patches == 0) return PSR_OK;
    psr_pool_hold(pool);
    const int error = run_frame(&f, pool, patches, n_patches);
    psr_pool_release(pool);
    return error;
}
