/* Rows fall into bands in which no patch begins or ends; each band has its intervals of columns. */
#include "combine.h"

#include <string.h>

static int ends_well(int32_t end, int32_t side) { return end % PSR_UNIT == 0 || end == side; }

int psr_can_combine(const psr_net *const *nets, const psr_patch *patches, int n, int h, int w) {
    int64_t covered = 0;
    if (n < 2 || !psr_plan_of(nets[patches[0].net], PSR_PATH_ALL)->steps) return 0;
    for (int i = 0; i < n; ++i) {
        const psr_patch *p = &patches[i];
        if (p->net != patches[0].net || p->x % PSR_UNIT || !ends_well(p->x + p->w, w)) return 0;
        covered += (int64_t)p->h * p->w;
    }
    return covered == (int64_t)h * w;
}

/* A patch lies in no more bands than it has rows. */
static size_t most_intervals(const psr_patch *patches, int n) {
    size_t rows = 0;
    for (int i = 0; i < n; ++i) rows += (size_t)patches[i].h;
    return rows;
}

static size_t numbers_of(int h) { return 2 * ((size_t)h + 2); }

size_t psr_mask_bytes(const psr_patch *patches, int n, int h) {
    return numbers_of(h) * sizeof(int32_t) + most_intervals(patches, n) * sizeof(psr_interval);
}

/* Numbers the bands: a new one begins where a patch begins or ends. Returns how many there are. */
static int32_t number_bands(const psr_patch *patches, int n, int h, int32_t *band_of_row) {
    memset(band_of_row, 0, ((size_t)h + 1) * sizeof *band_of_row);
    for (int i = 0; i < n; ++i)
        band_of_row[patches[i].y] = band_of_row[patches[i].y + patches[i].h] = 1;
    int32_t bands = 0;
    for (int32_t y = 0; y < h; ++y) {
        bands += y > 0 && band_of_row[y];
        band_of_row[y] = bands;
    }
    return bands + 1;
}

psr_mask psr_make_mask(const psr_patch *patches, int n, int h, void *memory) {
    int32_t *band_of_row = memory, *first = band_of_row + h + 2;
    psr_interval *intervals = (psr_interval *)(band_of_row + numbers_of(h));
    const int32_t bands = number_bands(patches, n, h, band_of_row);
    memset(first, 0, ((size_t)bands + 1) * sizeof *first);
    for (int i = 0; i < n; ++i)
        for (int32_t b = band_of_row[patches[i].y];
             b <= band_of_row[patches[i].y + patches[i].h - 1]; ++b)
            ++first[b];
    for (int32_t b = 1; b <= bands; ++b) first[b] += first[b - 1];
    for (int i = n - 1; i >= 0; --i) /* each band is filled from its end: `first` moves to its begin */
        for (int32_t b = band_of_row[patches[i].y];
             b <= band_of_row[patches[i].y + patches[i].h - 1]; ++b)
            intervals[--first[b]] =
                (psr_interval){patches[i].x, patches[i].x + patches[i].w, patches[i].path};
    return (psr_mask){band_of_row, first, intervals, h};
}
