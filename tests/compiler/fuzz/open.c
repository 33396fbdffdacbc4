/* One blob through the engine. Every block of memory is as large as it has to be and no larger, so
 * that the address sanitizer sees a read or a write outside. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pocketsr.h"

enum { HEIGHT = 3, WIDTH = 5, ALIGN = 64 }; /* in units */

static void upscale(const psr_net *net, int path) {
    const int halo = psr_halo_px(net, path), unit = psr_unit_px(net);
    if (halo < 0) return;
    const int height = HEIGHT * unit, width = WIDTH * unit;
    const int rows = height + 2 * halo, columns = width + 2 * halo;
    const int hr_rows = psr_hr_px(net, height), hr_columns = psr_hr_px(net, width);
    const size_t arena_bytes = psr_arena_bytes(net, path, height, width);
    uint8_t *lr = malloc((size_t)rows * columns * 3);
    uint8_t *hr = malloc((size_t)hr_rows * hr_columns * 3);
    void *arena = aligned_alloc(ALIGN, (arena_bytes + ALIGN - 1) / ALIGN * ALIGN);
    if (!lr || !hr || !arena) abort();
    memset(lr, 200, (size_t)rows * columns * 3);
    if (psr_upscale(net, path, lr, 3 * columns, height, width, hr, 3 * hr_columns, arena)) abort();
    free(lr);
    free(hr);
    free(arena);
}

/* What is said of a network ends where it says it does. */
static void explain(const psr_net *net) {
    for (int path = -1; path <= PSR_PATHS; ++path) {
        const int n = path < 0 ? psr_info(net, 270, 481, NULL, 0) : psr_explain(net, path, NULL, 0);
        char *text = malloc((size_t)n + 1);
        if (!text) abort();
        if (path < 0)
            psr_info(net, 270, 481, text, (size_t)n + 1);
        else
            psr_explain(net, path, text, (size_t)n + 1);
        if (n && strlen(text) != (size_t)n) abort();
        free(text);
    }
}

int open_blob(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size);
    if (size && !exact) abort();
    if (size) memcpy(exact, data, size);
    psr_net *net = NULL;
    const int code = psr_net_open(exact, size, &net);
    if (code == PSR_OK && psr_fault(exact, size)) abort();
    free(exact); /* before the network is used: it must not keep a pointer into the blob */
    if ((net != NULL) != (code == PSR_OK)) abort();
    if (net) explain(net);
    for (int path = 0; net && path < PSR_PATHS; ++path) upscale(net, path);
    psr_net_close(net);
    return code;
}
