/* One router blob through the engine, as open.c does with weights: a frame whose cells are cut. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pocketsr.h"

enum { HEIGHT = 13, WIDTH = 41, ALIGN = 64 };

static void route(const psr_router *router) {
    const int cell = psr_router_cell_px(router);
    const size_t cells = (size_t)((HEIGHT + cell - 1) / cell) * ((WIDTH + cell - 1) / cell);
    const size_t arena_bytes = psr_router_arena_bytes(router, HEIGHT, WIDTH);
    uint8_t *lr = malloc(HEIGHT * WIDTH * 3), *paths = malloc(cells);
    void *arena = aligned_alloc(ALIGN, (arena_bytes + ALIGN - 1) / ALIGN * ALIGN);
    if (!lr || !paths || !arena) abort();
    memset(lr, 200, HEIGHT * WIDTH * 3);
    if (psr_route(router, lr, 3 * WIDTH, HEIGHT, WIDTH, paths, arena)) abort();
    for (size_t i = 0; i < cells; ++i)
        if (paths[i] > PSR_PATH_HARD) abort();
    free(lr);
    free(paths);
    free(arena);
}

int open_blob(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size);
    if (size && !exact) abort();
    if (size) memcpy(exact, data, size);
    psr_router *router = NULL;
    const int code = psr_router_open(exact, size, &router);
    free(exact); /* before the router is used: it must not keep a pointer into the blob */
    if ((router != NULL) != (code == PSR_OK)) abort();
    if (router) route(router);
    psr_router_close(router);
    return code;
}
