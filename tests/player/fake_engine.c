/* A stand-in for the compiled engine with the interface of pocketsr.h: every HR pixel is its LR
 * pixel plus a number that tells which network and path made it. It lets the player be tested
 * without a compiler of networks. A blob's header says scale and units, its last four bytes are the
 * checksum. What is used after it was closed ends the process; a frame of one row takes 0.2 s. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK, E_FORMAT, E_ARCH, E_CRC, E_LIMIT, E_SELFTEST, E_NOMEM, E_ARG };
typedef struct { int32_t y, x, h, w, net, path; } psr_patch;
typedef struct { int open, p, q, units, offset; } psr_net; /* scale p / q */
typedef struct { int open, threads; } psr_pool;
typedef struct { int open, cell, hold; } psr_router;
#define USE(it) if (!(it)->open) abort()
#define CLOSE(it) if (!(it)->open) abort(); (it)->open = 0 /* and not freed: others may be asked */

uint32_t psr_abi(void) { return 5; }
const char *psr_build_info(void) { return "{\"target\": \"fake\", \"dtype\": \"fp32\"}"; }
const char *psr_isa(void) { return "fake"; }
int psr_select_isa(const char *name) { return strcmp(name, psr_isa()) == 0 ? OK : E_ARG; }

static uint32_t crc32(const uint8_t *p, size_t n) {
    uint32_t crc = ~0u;
    while (n--) {
        crc ^= *p++;
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (0xEDB88320u & -(crc & 1));
    }
    return ~crc;
}

int psr_net_open(const uint8_t *blob, size_t n, psr_net **out) {
    if (n < 16 || blob[0] != 'P' || blob[3] != 'W') return E_FORMAT;
    uint32_t crc = blob[n - 4] | blob[n - 3] << 8 | blob[n - 2] << 16 | (uint32_t)blob[n - 1] << 24;
    if (crc != crc32(blob, n - 4)) return E_CRC;
    psr_net *net = malloc(sizeof *net);
    net->open = 1;
    net->p = blob[4] == 1 ? blob[6] : blob[6] >> 4;
    net->q = blob[4] == 1 ? 1 : blob[6] & 15;
    net->units = blob[4] == 1 ? 1 : blob[7];
    net->offset = blob[11] ? 3 : 9; /* with a self-test: one of the package's; without: generic */
    *out = net;
    return OK;
}
void psr_net_close(psr_net *net) { CLOSE(net); }
const char *psr_fault(const uint8_t *blob, size_t n) { return n < 16 || !blob ? "too short" : NULL; }
int psr_hr_px(const psr_net *net, int lr_px) { return (lr_px * net->p + net->q - 1) / net->q; }
int psr_unit_px(const psr_net *net) { return net->units; }
int psr_info(const psr_net *net, int h, int w, char *out, size_t n) {
    return snprintf(out, n, "{\"units\": %d, \"size\": [%d, %d]}", net->units, h, w);
}
int psr_explain(const psr_net *net, int path, char *out, size_t n) {
    (void)net, (void)path, (void)out, (void)n;
    return 0;
}
int psr_halo_px(const psr_net *net, int path) { USE(net); return path < 0 || path > 2 ? -1 : 2 + path; }
size_t psr_arena_bytes(const psr_net *net, int path, int h, int w) { (void)net; return 16 + (size_t)path * h * w; }

static void fill(const psr_net *net, int path, const uint8_t *lr, ptrdiff_t ls, int h, int w,
                 uint8_t *hr, ptrdiff_t hs) {
    int p = net->p, q = net->q, add = path ? path * net->offset : 0;
    for (int y = 0; y < psr_hr_px(net, h); y++)
        for (int x = 0; x < psr_hr_px(net, w) * 3; x++)
            hr[y * hs + x] = (uint8_t)(lr[y * q / p * ls + x / 3 * q / p * 3 + x % 3] + add);
}

int psr_upscale(const psr_net *net, int path, const uint8_t *lr, ptrdiff_t ls, int h, int w,
                uint8_t *hr, ptrdiff_t hs, void *arena) {
    int halo = psr_halo_px(net, path);
    if (halo < 0 || !arena) return E_ARG;
    fill(net, path, lr + halo * ls + 3 * halo, ls, h, w, hr, hs);
    return OK;
}
int psr_pool_open(int threads, psr_pool **out) {
    if (threads < 1 || threads > 64) return E_ARG;
    *out = malloc(sizeof **out);
    (*out)->open = 1;
    (*out)->threads = threads;
    return OK;
}
void psr_pool_close(psr_pool *pool) { CLOSE(pool); }
int psr_frame(psr_pool *pool, const psr_net *const *nets, int n_nets, const psr_patch *p, int n,
              const uint8_t *lr, ptrdiff_t ls, int h, int w, uint8_t *hr, ptrdiff_t hs) {
    (void)w;
    if (h == 1) usleep(200000);
    USE(pool);
    for (int i = 0; i < n; i++) {
        if (p[i].net >= n_nets) return E_ARG;
        const psr_net *net = nets[p[i].net];
        USE(net);
        fill(net, p[i].path, lr + p[i].y * ls + 3 * p[i].x, ls, p[i].h, p[i].w,
             hr + psr_hr_px(net, p[i].y) * hs + 3 * psr_hr_px(net, p[i].x), hs);
    }
    return OK;
}

/* A router that names path (brightness of the cell's first pixel) % 3; a blob whose 7th byte, the
 * number of classes, is 9 fails its self-test. */
int psr_router_open(const uint8_t *blob, size_t n, psr_router **out) {
    if (n < 24 || memcmp(blob, "PSRO", 4) != 0) return E_FORMAT;
    if (blob[6] == 9) return E_SELFTEST;
    *out = malloc(sizeof **out);
    (*out)->open = 1;
    (*out)->cell = blob[5];
    (*out)->hold = blob[7];
    return OK;
}
void psr_router_close(psr_router *router) { CLOSE(router); }
int psr_router_cell_px(const psr_router *router) { return router->cell; }
int psr_router_hold_frames(const psr_router *router) { return router->hold; }
size_t psr_router_arena_bytes(const psr_router *router, int h, int w) {
    (void)router;
    return (size_t)h * w;
}
int psr_route(const psr_router *router, const uint8_t *lr, ptrdiff_t ls, int h, int w,
              uint8_t *paths, void *arena) {
    if (!arena) return E_ARG;
    USE(router);
    for (int y = 0; y < h; y += router->cell)
        for (int x = 0; x < w; x += router->cell) *paths++ = lr[y * ls + 3 * x] % 3;
    return OK;
}
