/* route_file ROUTER LR HEIGHT WIDTH: writes the path of each cell of a frame of RGB24 to stdout.
 * The frame's rows lie apart in memory; the status is 1 more than the engine's error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pocketsr.h"

enum { MOST = 1 << 20, APART = 7, ALIGN = 64 };

static size_t read_file(const char *name, uint8_t *data) {
    FILE *file = fopen(name, "rb");
    if (!file) exit(100);
    const size_t size = fread(data, 1, MOST, file);
    fclose(file);
    return size;
}

static void *allocate(size_t bytes) {
    void *memory = aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);
    if (!memory) exit(101);
    return memory;
}

int main(int argc, char **argv) {
    if (argc != 5) return 102;
    const int h = atoi(argv[3]), w = atoi(argv[4]);
    uint8_t *blob = allocate(MOST), *packed = allocate(MOST);
    psr_router *router;
    const int error = psr_router_open(blob, read_file(argv[1], blob), &router);
    if (error) return 1 + error;
    if (read_file(argv[2], packed) != (size_t)h * w * 3) return 103;
    const ptrdiff_t stride = 3 * w + APART;
    uint8_t *lr = allocate((size_t)h * stride);
    for (int y = 0; y < h; ++y)
        memcpy(lr + y * stride, packed + (ptrdiff_t)3 * w * y, 3 * (size_t)w);
    const int cell = psr_router_cell_px(router);
    const size_t cells = (size_t)((h + cell - 1) / cell) * ((w + cell - 1) / cell);
    uint8_t *paths = allocate(cells);
    void *arena = allocate(psr_router_arena_bytes(router, h, w));
    const int routed = psr_route(router, lr, stride, h, w, paths, arena);
    if (routed) return 1 + routed;
    fwrite(paths, 1, cells, stdout);
    psr_router_close(router);
    return 0;
}
