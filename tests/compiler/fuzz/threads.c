/* Two callers with pools of their own upscale by one network at once: for the thread sanitizer.
 *
 *     threads BLOB      prints a sum over all frames, the same in every run
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pocketsr.h"

enum { HEIGHT = 40, WIDTH = 56, CELL = 8, FRAMES = 6, THREADS = 7, CALLERS = 2 };

typedef struct {
    const psr_net *net;
    uint64_t sum;
} caller;

/* Cells of all paths by turns, of a frame that moves. */
static void *play(void *argument) {
    caller *own = argument;
    const psr_net *net = own->net;
    const int hr_h = psr_hr_px(net, HEIGHT), hr_w = psr_hr_px(net, WIDTH);
    uint8_t *lr = malloc(HEIGHT * WIDTH * 3), *hr = malloc((size_t)hr_h * hr_w * 3);
    psr_patch patches[(HEIGHT / CELL) * (WIDTH / CELL)];
    psr_pool *pool = NULL;
    if (!lr || !hr || psr_pool_open(THREADS, &pool)) abort();
    for (int frame = 0; frame < FRAMES; ++frame) {
        for (int i = 0; i < HEIGHT * WIDTH * 3; ++i) lr[i] = (uint8_t)(i * 7 + frame * 31);
        int n = 0;
        for (int y = 0; y < HEIGHT; y += CELL)
            for (int x = 0; x < WIDTH; x += CELL, ++n) {
                const int path = (n + frame) % 3;
                patches[n] = (psr_patch){y, x, CELL, CELL, 0, path};
                if (psr_halo_px(net, path) < 0) patches[n].path = PSR_PATH_HARD;
            }
        if (psr_frame(pool, &net, 1, patches, n, lr, 3 * WIDTH, HEIGHT, WIDTH, hr, 3 * hr_w))
            abort();
        for (size_t i = 0; i < (size_t)hr_h * hr_w * 3; ++i) own->sum = own->sum * 31 + hr[i];
    }
    psr_pool_close(pool);
    free(lr);
    free(hr);
    return NULL;
}

int main(int count, char **names) {
    FILE *file = count == 2 ? fopen(names[1], "rb") : NULL;
    static uint8_t blob[1 << 20];
    psr_net *net = NULL;
    if (!file || psr_net_open(blob, fread(blob, 1, sizeof blob, file), &net)) return 2;
    pthread_t threads[CALLERS];
    caller callers[CALLERS];
    for (int i = 0; i < CALLERS; ++i) {
        callers[i] = (caller){net, 0};
        if (pthread_create(&threads[i], NULL, play, &callers[i])) abort();
    }
    for (int i = 0; i < CALLERS; ++i) pthread_join(threads[i], NULL);
    printf("%llu\n", (unsigned long long)callers[0].sum);
    fclose(file);
    psr_net_close(net);
    return callers[0].sum != callers[1].sum;
}
