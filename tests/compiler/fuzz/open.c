/* One blob through the engine. Every block of memory is as large as it has to be and no larger, so
 * that the address sanitizer sees a read or a write outside. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pocketsr.h"

enum { HEIGHT = 3, WIDTH = 5, ALIGN = 64 };

static void upscale(const psr_net *net, int path) {
    const int halo = psr_halo_px(net, path), scale = psr_net_scale(net);
    if (halo < 0) return;
    const int rows = HEIGHT + 2 * halo, columns = WIDTH + 2 * halo;
    const size_t arena_bytes = psr_arena_bytes(net, path, HEIGHT, WIDTH);
    uint8_t *lr = malloc((size_t)rows * columns * 3);
    uint8_t *hr = malloc((size_t)HEIGHT * scale * WIDTH * scale * 3);
    void *arena = aligned_alloc(ALIGN, (arena_bytes + ALIGN - 1) / ALIGN * ALIGN);
    if (!lr || !hr || !arena) abort();
    memset(lr, 200, (size_t)rows * columns * 3);
    if (psr_upscale(net, path, lr, 3 * columns, HEIGHT, WIDTH, hr, 3 * WIDTH * scale, arena))
        abort();
    free(lr);
    free(hr);
    free(arena);
}

int open_blob(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size);
    if (size && !exact) abort();
    if (size) memcpy(exact, data, size);
    psr_net *net = NULL;
    const int code = psr_net_open(exact, size, &net);
    free(exact); /* before the network is used: it must not keep a pointer into the blob */
    if ((net != NULL) != (code == PSR_OK)) abort();
    for (int path = 0; net && path < PSR_PATHS; ++path) upscale(net, path);
    psr_net_close(net);
    return code;
}
