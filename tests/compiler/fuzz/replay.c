/* Seeded damage without a fuzzer: replay SEED COUNT BLOB... opens each blob, then COUNT damaged
 * copies of it. Writes for each u32 code, u32 size and its bytes, for another parser to judge. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { MOST = 1 << 20, MOST_MUTATIONS = 3 };

static size_t read_blob(const char *name, uint8_t *data) {
    FILE *file = fopen(name, "rb");
    if (!file) exit(2);
    const size_t size = fread(data, 1, MOST, file);
    fclose(file);
    return size;
}

static void open_and_report(const uint8_t *data, size_t size) {
    const uint32_t head[2] = {(uint32_t)open_blob(data, size), (uint32_t)size};
    fwrite(head, sizeof head, 1, stdout);
    fwrite(data, 1, size, stdout);
}

static size_t damage(uint8_t *data, size_t size, uint32_t *state) {
    const uint32_t mutations = 1 + next_random(state) % MOST_MUTATIONS;
    for (uint32_t i = 0; i < mutations; ++i)
        size = mutate_blob(data, size, MOST, next_random(state));
    if (next_random(state) % 16) mend_checksum(data, size);
    return size;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    uint32_t state = (uint32_t)strtoul(argv[1], NULL, 10) | 1;
    const long count = strtol(argv[2], NULL, 10);
    uint8_t *blob = malloc(MOST), *copy = malloc(MOST);
    if (!blob || !copy) return 2;
    for (int i = 3; i < argc; ++i) {
        const size_t size = read_blob(argv[i], blob);
        open_and_report(blob, size);
        for (long j = 0; j < count; ++j) {
            memcpy(copy, blob, size);
            open_and_report(copy, damage(copy, size, &state));
        }
    }
    free(blob);
    free(copy);
    return 0;
}
