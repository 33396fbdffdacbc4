/* The router's convolutions in plain C, for the engines whose kernels compute floats: the same
 * integers as sr/quant/reference.py. */
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "bytes.h"
#include "router.h"

enum {
    MOST_SUM = 1 << 24,
    MOST_ACTIVATION = 255,
    OUTPUTS = 4 /* computed together: a router's widths are multiples of it */
};

static const float LEAST_SCALE = 0x1p-40f, MOST_SCALE = 64.0f;

/* A convolution. Weights [output][ky][block of inputs][kx][16 inputs]: the order of a pixel's
 * window in memory, so that a sum is one product of two vectors. */
typedef struct {
    int32_t out, in_blocks, window;
    int16_t *weights;
    int32_t *bias;
    float *scale;
} layer;

struct psr_layers {
    int32_t n;
    layer of[PSR_ROUTER_LAYERS];
};

static int32_t inputs_of(const layer *l) {
    return l->window * l->window * l->in_blocks * PSR_BLOCK;
}

static int allocate(const psr_conv_spec *spec, layer *l) {
    *l = (layer){.out = spec->out,
                 .in_blocks = (spec->in + PSR_BLOCK - 1) / PSR_BLOCK,
                 .window = spec->window};
    l->weights = calloc((size_t)l->out * inputs_of(l), sizeof *l->weights);
    l->bias = calloc(l->out, sizeof *l->bias);
    l->scale = calloc(l->out, sizeof *l->scale);
    return l->weights && l->bias && l->scale ? PSR_OK : PSR_E_NOMEM;
}

static size_t place_of(const layer *l, int32_t o, int32_t i, int32_t ky, int32_t kx) {
    const int32_t row = (ky * l->in_blocks + i / PSR_BLOCK) * l->window + kx;
    return (size_t)o * inputs_of(l) + (size_t)row * PSR_BLOCK + i % PSR_BLOCK;
}

/* Output o from its weights in the order [I, k, k]; the limits are those of int8/pack.c. */
static int fill_output(const psr_conv_spec *spec, layer *l, const uint8_t *from, int32_t o) {
    const int32_t k = spec->window;
    int32_t magnitude = 0;
    for (int32_t j = 0; j < spec->in * k * k; ++j) {
        const int8_t value = (int8_t)from[j];
        if (value == INT8_MIN) return PSR_E_LIMIT;
        magnitude += abs(value);
        l->weights[place_of(l, o, j / (k * k), j / k % k, j % k)] = value;
    }
    if ((int64_t)MOST_ACTIVATION * magnitude + llabs((long long)l->bias[o]) >= MOST_SUM)
        return PSR_E_LIMIT;
    return l->scale[o] >= LEAST_SCALE && l->scale[o] < MOST_SCALE ? PSR_OK : PSR_E_LIMIT;
}

static int fill(const psr_conv_spec *spec, layer *l, const uint8_t *payload) {
    const size_t weights = (size_t)spec->in * spec->window * spec->window;
    const uint8_t *bias = payload + weights * spec->out, *scale = bias + 4 * (size_t)spec->out;
    int error = allocate(spec, l);
    for (int32_t o = 0; !error && o < spec->out; ++o) {
        l->bias[o] = psr_read_s32(bias + 4 * o);
        l->scale[o] = psr_read_f32(scale + 4 * o);
        error = fill_output(spec, l, payload + o * weights, o);
    }
    return error;
}

int psr_layers_open(const psr_conv_spec *specs, int32_t n, const uint8_t *payload,
                    psr_layers **out) {
    psr_layers *layers = calloc(1, sizeof *layers);
    if (!layers) return PSR_E_NOMEM;
    int error = PSR_OK;
    for (; !error && layers->n < n; ++layers->n) {
        const psr_conv_spec *spec = &specs[layers->n];
        error = fill(spec, &layers->of[layers->n], payload);
        payload += psr_router_layer_bytes(spec);
    }
    if (error)
        psr_layers_close(layers);
    else
        *out = layers;
    return error;
}

void psr_layers_close(psr_layers *layers) {
    if (!layers) return;
    for (int32_t i = 0; i < layers->n; ++i) {
        free(layers->of[i].weights);
        free(layers->of[i].bias);
        free(layers->of[i].scale);
    }
    free(layers);
}

uint8_t psr_layers_flip(const psr_layers *layers) {
    (void)layers;
    return 0;
}

/* The inputs of a pixel, from the row of its window's first row and column. */
static void gather(const layer *l, const psr_plane *src, const uint8_t *const *rows, int32_t x,
                   int16_t *out) {
    const int32_t together = l->window * PSR_BLOCK;
    for (int32_t ky = 0; ky < l->window; ++ky)
        for (int32_t b = 0; b < l->in_blocks; ++b, out += together) {
            const uint8_t *from = rows[ky] + x * src->pixel + (ptrdiff_t)b * src->block;
            for (int32_t i = 0; i < together; ++i) out[i] = from[i];
        }
}

/* Adds to `sums` four outputs' products of a window with their weights, which follow each other;
 * n is a multiple of 16. */
#if defined(__SSE2__)
static void add_products(const int16_t *seen, const int16_t *weights, int32_t n, int32_t *sums) {
    __m128i part[OUTPUTS];
    for (int32_t o = 0; o < OUTPUTS; ++o) part[o] = _mm_setzero_si128();
    for (int32_t i = 0; i < n; i += 8) {
        const __m128i q = _mm_loadu_si128((const __m128i *)(seen + i));
        for (int32_t o = 0; o < OUTPUTS; ++o) {
            const __m128i w = _mm_loadu_si128((const __m128i *)(weights + (ptrdiff_t)o * n + i));
            part[o] = _mm_add_epi32(part[o], _mm_madd_epi16(q, w));
        }
    }
    for (int32_t o = 0; o < OUTPUTS; ++o) {
        int32_t four[4];
        memcpy(four, &part[o], sizeof four);
        sums[o] += four[0] + four[1] + four[2] + four[3];
    }
}
#else
static void add_products(const int16_t *seen, const int16_t *weights, int32_t n, int32_t *sums) {
    for (int32_t o = 0; o < OUTPUTS; ++o, weights += n)
        for (int32_t i = 0; i < n; ++i) sums[o] += seen[i] * weights[i];
}
#endif

/* The product is rounded to a float before it is rounded to a whole number, halves to even: a
 * float of 2^23 and more has no fraction. */
static uint8_t scaled(int32_t sum, float scale) {
    const float product = (float)sum * scale;
    const float least = product < 0.0f ? 0.0f : product;
    const float kept = least > 255.0f ? 255.0f : least;
    return (uint8_t)(int32_t)(kept + 0x1p23f - 0x1p23f);
}

void psr_layers_row(const psr_layers *layers, int32_t number, const psr_plane *src,
                    const psr_plane *dst, int32_t y, int32_t w) {
    const layer *l = &layers->of[number];
    const int32_t reach = l->window / 2, inputs = inputs_of(l), outputs = l->out;
    const float *scale = l->scale;
    const uint8_t *rows[PSR_TAPS];
    int16_t seen[PSR_ROUTER_INPUTS];
    for (int32_t k = 0; k < l->window; ++k)
        rows[k] = psr_layers_at(src, y - reach + k) - reach * src->pixel;
    for (int32_t x = -dst->margin_x; x < w + dst->margin_x; ++x) {
        uint8_t *out = psr_layers_at(dst, y) + x * dst->pixel;
        gather(l, src, rows, x, seen);
        for (int32_t o = 0; o < outputs; o += OUTPUTS) {
            int32_t sums[OUTPUTS];
            memcpy(sums, l->bias + o, sizeof sums);
            add_products(seen, l->weights + (size_t)o * inputs, inputs, sums);
            uint8_t done[OUTPUTS];
            for (int32_t i = 0; i < OUTPUTS; ++i) done[i] = scaled(sums[i], scale[o + i]);
            memcpy(out + (ptrdiff_t)(o / PSR_BLOCK) * dst->block + o % PSR_BLOCK, done, OUTPUTS);
        }
    }
}
