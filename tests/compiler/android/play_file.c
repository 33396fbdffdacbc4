/* play_file WEIGHTS LR HEIGHT WIDTH PATCHES...: upscales a frame of RGB24 once for each file of
 * psr_patch and writes its pixels to stdout. The status is 1 more than the engine's error. */
#include <stdio.h>
#include <stdlib.h>

#include "pocketsr.h"

enum { MOST = 4 << 20, THREADS = 2 };

static void *allocate(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory) exit(101);
    return memory;
}

static size_t read_file(const char *name, void *data) {
    FILE *file = fopen(name, "rb");
    if (!file) exit(100);
    const size_t size = fread(data, 1, MOST, file);
    fclose(file);
    return size;
}

int main(int argc, char **argv) {
    if (argc < 5) return 102;
    const int h = atoi(argv[3]), w = atoi(argv[4]);
    uint8_t *blob = allocate(MOST), *lr = allocate(MOST);
    psr_patch *patches = allocate(MOST);
    psr_net *net;
    psr_pool *pool;
    int error = psr_net_open(blob, read_file(argv[1], blob), &net);
    if (!error) error = psr_pool_open(THREADS, &pool);
    if (error) return 1 + error;
    if (read_file(argv[2], lr) != (size_t)h * w * 3) return 103;
    const psr_net *nets[] = {net};
    const size_t row = 3 * (size_t)psr_hr_px(net, w), bytes = row * psr_hr_px(net, h);
    uint8_t *hr = allocate(bytes);
    for (int i = 5; i < argc; ++i) {
        const int n = (int)(read_file(argv[i], patches) / sizeof *patches);
        error = psr_frame(pool, nets, 1, patches, n, lr, 3 * w, h, w, hr, (ptrdiff_t)row);
        if (error) return 1 + error;
        fwrite(hr, 1, bytes, stdout);
    }
    psr_pool_close(pool);
    psr_net_close(net);
    return 0;
}
