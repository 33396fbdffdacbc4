/* psr-bench: how fast this engine upscales whole frames here, and the checksum of what it gives.
 *
 *   psr-bench --weights BLOB [--path hard] [--size 270x480] [--frames 20] [--threads 1]
 *             [--lr FILE] [--out FILE] [--isa NAME] [--json]
 *
 * Without --lr the frames are seeded noise, the same on every machine; --lr FILE holds raw RGB24
 * frames of --size, taken in turn. Runs with 1, 2 .. --threads threads; every run must give the
 * same bytes. One untimed frame comes before each run, and only psr_frame is timed.
 * Exit codes: 0 done, 1 a fault, 2 usage, 3 cannot be read or is not supported, 5 damaged blob.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pocketsr.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, EXIT_INPUT = 3, EXIT_DAMAGED = 5 };
enum { MAX_SIDE = 8192, MAX_FRAMES = 10000, MAX_THREADS = 64 };
static const long MAX_FILE_BYTES = 1l << 32; /* a folder claims to be larger */

typedef struct {
    const char *weights, *lr, *out, *isa;
    int path, height, width, frames, threads, json;
} options;

typedef struct {
    uint8_t *bytes;
    size_t n;
} file;

/* What every run shares: the network, the frames, room for one frame before and after. */
typedef struct {
    const options *options;
    psr_net *net;
    file frames; /* of --lr; empty: seeded */
    uint8_t *lr, *hr;
    size_t lr_bytes, hr_bytes;
    uint32_t table[256]; /* of the CRC-32 */
} bench;

typedef struct {
    double fps_p50, fps_p95;
    uint32_t crc;
} result;

static const char *const PATHS[PSR_PATHS] = {"bicubic", "easy", "hard", "middle", "upper"};

static void fail(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("psr-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(code);
}

static void *allocate(size_t n) {
    void *memory = malloc(n ? n : 1);
    if (!memory) fail(EXIT_FAULT, "out of memory (%zu bytes)", n);
    return memory;
}

/* ---- options ---- */

static int parse_int(const char *option, const char *text, int most) {
    char *end;
    const long value = strtol(text, &end, 10);
    if (end == text || *end || value < 1 || value > most)
        fail(EXIT_USAGE, "%s %s: give a number from 1 to %d", option, text, most);
    return (int)value;
}

static int parse_path(const char *text) {
    for (int path = 0; path < PSR_PATHS; ++path)
        if (strcmp(text, PATHS[path]) == 0) return path;
    fail(EXIT_USAGE, "--path %s: use bicubic, easy, middle, upper or hard", text);
    return -1;
}

static void parse_size(const char *text, options *to) {
    int used = 0;
    const int read = sscanf(text, "%dx%d%n", &to->height, &to->width, &used);
    const int is_size = read == 2 && !text[used] && to->height >= 1 && to->width >= 1 &&
                        to->height <= MAX_SIDE && to->width <= MAX_SIDE;
    if (!is_size)
        fail(EXIT_USAGE, "--size %s: give HEIGHTxWIDTH in LR pixels, each from 1 to %d", text,
             MAX_SIDE);
}

static void parse_option(const char *name, const char *value, options *to) {
    if (strcmp(name, "--weights") == 0)
        to->weights = value;
    else if (strcmp(name, "--path") == 0)
        to->path = parse_path(value);
    else if (strcmp(name, "--size") == 0)
        parse_size(value, to);
    else if (strcmp(name, "--frames") == 0)
        to->frames = parse_int(name, value, MAX_FRAMES);
    else if (strcmp(name, "--threads") == 0)
        to->threads = parse_int(name, value, MAX_THREADS);
    else if (strcmp(name, "--lr") == 0)
        to->lr = value;
    else if (strcmp(name, "--out") == 0)
        to->out = value;
    else if (strcmp(name, "--isa") == 0)
        to->isa = value;
    else
        fail(EXIT_USAGE,
             "%s is not an option; use --weights, --path, --size, --frames, --threads, --lr, "
             "--out, --isa, --json",
             name);
}

static options parse_options(int n, char **arguments) {
    options found = {.path = PSR_PATH_HARD, .height = 270, .width = 480, .frames = 20, .threads = 1};
    for (int i = 1; i < n; ++i) {
        if (strcmp(arguments[i], "--json") == 0) {
            found.json = 1;
            continue;
        }
        if (i + 1 == n) fail(EXIT_USAGE, "%s: needs a value, or is not an option", arguments[i]);
        parse_option(arguments[i], arguments[i + 1], &found);
        ++i;
    }
    if (!found.weights) fail(EXIT_USAGE, "--weights BLOB is missing");
    return found;
}

/* ---- files ---- */

static file read_file(const char *path) {
    FILE *stream = fopen(path, "rb");
    if (!stream || fseek(stream, 0, SEEK_END) != 0) fail(EXIT_INPUT, "%s: cannot be read", path);
    const long n = ftell(stream);
    if (n < 0 || n > MAX_FILE_BYTES) fail(EXIT_INPUT, "%s: cannot be read", path);
    const file whole = {allocate((size_t)n), (size_t)n};
    rewind(stream);
    if (fread(whole.bytes, 1, whole.n, stream) != whole.n)
        fail(EXIT_INPUT, "%s: cannot be read", path);
    fclose(stream);
    return whole;
}

static psr_net *open_network(const char *path) {
    const file blob = read_file(path);
    psr_net *net = NULL;
    const int error = psr_net_open(blob.bytes, blob.n, &net);
    if (!error) {
        free(blob.bytes);
        return net;
    }
    const char *fault = psr_fault(blob.bytes, blob.n);
    switch (error) {
        case PSR_E_ARCH: fail(EXIT_INPUT, "%s: %s", path, fault);
        case PSR_E_NOMEM: fail(EXIT_FAULT, "out of memory");
        case PSR_E_SELFTEST: fail(EXIT_DAMAGED, "%s: its self-test gives other pixels here", path);
        default: fail(EXIT_DAMAGED, "%s: %s", path, fault ? fault : "a number is outside its limits");
    }
    return NULL;
}

static file read_frames(const options *o, size_t frame_bytes) {
    if (!o->lr) return (file){NULL, 0};
    const file frames = read_file(o->lr);
    if (frames.n == 0 || frames.n % frame_bytes)
        fail(EXIT_INPUT, "%s: %zu bytes are no whole frames of %dx%d RGB (%zu bytes each)", o->lr,
             frames.n, o->height, o->width, frame_bytes);
    return frames;
}

/* ---- frames ---- */

/* Frame i: of the file, or noise (the generator of Numerical Recipes, seeded with i + 1). */
static void fill_frame(bench *b, int i) {
    if (b->frames.n) {
        const size_t at = (size_t)i % (b->frames.n / b->lr_bytes) * b->lr_bytes;
        memcpy(b->lr, b->frames.bytes + at, b->lr_bytes);
        return;
    }
    uint32_t state = (uint32_t)i + 1;
    for (size_t k = 0; k < b->lr_bytes; ++k) {
        state = state * 1664525u + 1013904223u;
        b->lr[k] = (uint8_t)(state >> 24);
    }
}

static void fill_crc_table(uint32_t table[256]) {
    for (uint32_t i = 0; i < 256; ++i) {
        table[i] = i;
        for (int k = 0; k < 8; ++k) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
}

/* zlib's CRC-32 of everything so far and `bytes`. */
static uint32_t extend_crc(const bench *b, uint32_t crc, const uint8_t *bytes, size_t n) {
    crc = ~crc;
    for (size_t i = 0; i < n; ++i) crc = crc >> 8 ^ b->table[(crc ^ bytes[i]) & 255];
    return ~crc;
}

/* ---- runs ---- */

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds that one frame takes. */
static double upscale(const bench *b, psr_pool *pool) {
    const options *o = b->options;
    const psr_patch whole = {0, 0, o->height, o->width, 0, o->path};
    const psr_net *nets[] = {b->net};
    const ptrdiff_t lr_stride = 3 * (ptrdiff_t)o->width;
    const double start = now_s();
    const int error = psr_frame(pool, nets, 1, &whole, 1, b->lr, lr_stride, o->height, o->width,
                                b->hr, 3 * (ptrdiff_t)psr_hr_px(b->net, o->width));
    if (error) fail(EXIT_FAULT, "psr_frame gives error %d", error);
    return now_s() - start;
}

static int compare_times(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two samples beside it, as NumPy has it. */
static double percentile(const double *sorted, int n, double share) {
    const double at = share * (n - 1);
    const int below = (int)at, above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

static double rate(double seconds) { return 1.0 / (seconds > 1e-9 ? seconds : 1e-9); }

static result run(bench *b, int threads, FILE *out) {
    const int n = b->options->frames;
    double *times = allocate((size_t)n * sizeof *times);
    psr_pool *pool;
    if (psr_pool_open(threads, &pool)) fail(EXIT_FAULT, "cannot start %d threads", threads);
    result found = {0, 0, 0};
    fill_frame(b, 0);
    upscale(b, pool);
    for (int i = 0; i < n; ++i) {
        fill_frame(b, i);
        times[i] = upscale(b, pool);
        found.crc = extend_crc(b, found.crc, b->hr, b->hr_bytes);
        if (out && fwrite(b->hr, 1, b->hr_bytes, out) != b->hr_bytes)
            fail(EXIT_FAULT, "%s: cannot be written", b->options->out);
    }
    psr_pool_close(pool);
    qsort(times, (size_t)n, sizeof *times, compare_times);
    found.fps_p50 = rate(percentile(times, n, 0.50));
    found.fps_p95 = rate(percentile(times, n, 0.95));
    free(times);
    return found;
}

static void run_all(bench *b, result *results) {
    const options *o = b->options;
    FILE *out = o->out ? fopen(o->out, "wb") : NULL;
    if (o->out && !out) fail(EXIT_INPUT, "%s: cannot be written", o->out);
    for (int i = 0; i < o->threads; ++i) {
        results[i] = run(b, i + 1, i == 0 ? out : NULL);
        if (results[i].crc != results[0].crc)
            fail(EXIT_FAULT, "%d threads give other pixels than one", i + 1);
    }
    if (out && fclose(out) != 0) fail(EXIT_FAULT, "%s: cannot be written", o->out);
}

static void open_bench(const options *o, bench *b) {
    b->options = o;
    b->net = open_network(o->weights);
    if (psr_halo_px(b->net, o->path) < 0)
        fail(EXIT_INPUT, "--path %s: %s has no such path", PATHS[o->path], o->weights);
    b->lr_bytes = (size_t)o->height * (size_t)o->width * 3;
    b->hr_bytes = (size_t)psr_hr_px(b->net, o->height) * (size_t)psr_hr_px(b->net, o->width) * 3;
    b->frames = read_frames(o, b->lr_bytes);
    b->lr = allocate(b->lr_bytes);
    b->hr = allocate(b->hr_bytes);
    fill_crc_table(b->table);
}

static void close_bench(bench *b) {
    free(b->frames.bytes);
    free(b->lr);
    free(b->hr);
    psr_net_close(b->net);
}

/* ---- results ---- */

static void print_json(const options *o, const result *results, size_t arena) {
    const result *last = &results[o->threads - 1];
    printf("{\"fps_p50\": %.3f, \"fps_p95\": %.3f, \"crc32\": \"%08x\", \"arena_bytes\": %zu, "
           "\"isa\": \"%s\", \"path\": \"%s\", \"size\": [%d, %d], \"frames\": %d, \"threads\": [",
           last->fps_p50, last->fps_p95, last->crc, arena, psr_isa(), PATHS[o->path], o->height,
           o->width, o->frames);
    for (int i = 0; i < o->threads; ++i)
        printf("%s{\"threads\": %d, \"fps_p50\": %.3f, \"fps_p95\": %.3f}", i ? ", " : "", i + 1,
               results[i].fps_p50, results[i].fps_p95);
    puts("]}");
}

static void print_text(const options *o, const result *results, size_t arena) {
    printf("%s, path %s, %d frames of %dx%d LR pixels\n", psr_isa(), PATHS[o->path], o->frames,
           o->height, o->width);
    for (int i = 0; i < o->threads; ++i)
        printf("%2d thread%s  FPS p50 %8.2f  p95 %8.2f\n", i + 1, i ? "s" : " ",
               results[i].fps_p50, results[i].fps_p95);
    printf("crc32 %08x\narena %zu bytes\n", results[0].crc, arena);
}

int main(int n, char **arguments) {
    const options o = parse_options(n, arguments);
    if (o.isa && psr_select_isa(o.isa))
        fail(EXIT_USAGE, "--isa %s: not in this engine, or not on this processor; it uses %s",
             o.isa, psr_isa());
    bench b;
    open_bench(&o, &b);
    result results[MAX_THREADS];
    run_all(&b, results);
    const size_t arena = psr_arena_bytes(b.net, o.path, o.height, o.width);
    close_bench(&b);
    (o.json ? print_json : print_text)(&o, results, arena);
    return 0;
}
