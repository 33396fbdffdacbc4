/* Weights from the blob's order [O, I, k, k] into the order in which the kernels read them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

static float half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half >> 15) << 31, mantissa = half & 0x3ffu;
    const uint32_t exponent = half >> 10 & 0x1fu;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    const uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
    const uint32_t bits = sign | wide << 23 | mantissa << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float read_number(const uint8_t *payload, int32_t dtype, size_t i) {
    const uint8_t *p = payload + i * (dtype == 1 ? 4 : 2);
    if (dtype == 2) return half_to_float((uint16_t)(p[0] | p[1] << 8));
    const uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int32_t depth_of(const psr_conv *conv) {
    return conv->in_channels == PSR_PIXEL ? 3 : PSR_BLOCK;
}

/* Index of weight (o, i, ky, kx): [group of output blocks][ky][in block][kx][i][o]. */
static size_t weight_index(const psr_conv *conv, int32_t group_blocks, int32_t o, int32_t i,
                           int32_t ky, int32_t kx) {
    const int32_t depth = depth_of(conv), block = o / PSR_BLOCK;
    const int32_t first = block / group_blocks * group_blocks;
    const int whole = conv->out_blocks - first >= group_blocks;
    const int32_t start = whole ? first : block, width = (whole ? group_blocks : 1) * PSR_BLOCK;
    const size_t taps = (size_t)depth * conv->in_blocks * conv->window * conv->window;
    const size_t tap =
        (((size_t)ky * conv->in_blocks + i / depth) * conv->window + kx) * depth + i % depth;
    return (size_t)start * PSR_BLOCK * taps + tap * width + (o - start * PSR_BLOCK);
}

static psr_conv shape_of(const psr_conv_spec *spec, int32_t side) {
    const int rgb = spec->in == 3;
    return (psr_conv){.in_channels = rgb ? PSR_PIXEL : PSR_BLOCK,
                      .in_blocks = rgb ? 1 : (spec->in + PSR_BLOCK - 1) / PSR_BLOCK,
                      .out_blocks = psr_out_blocks(spec, side),
                      .window = spec->window,
                      .phase_blocks = spec->shuffled ? psr_phase_blocks(side) : 0};
}

static size_t weight_floats(const psr_conv *conv) {
    return (size_t)depth_of(conv) * conv->in_blocks * conv->window * conv->window *
           conv->out_blocks * PSR_BLOCK;
}

static size_t storage_floats(const psr_conv *conv) {
    return weight_floats(conv) + (size_t)conv->out_blocks * PSR_BLOCK;
}

static float *place(psr_conv *conv, float *storage) {
    conv->weights = storage;
    conv->bias = storage + weight_floats(conv);
    return storage + storage_floats(conv);
}

/* Returns the numbers read, or 0 where one of them is not finite. */
static size_t fill(const psr_conv *conv, const psr_conv_spec *spec, const psr_net *net,
                   const psr_blob *blob, size_t at) {
    const psr_arch *arch = &net->arch;
    float *weights = (float *)conv->weights, *bias = (float *)conv->bias;
    const int32_t k = spec->window, per_output = spec->in * k * k;
    int finite = 1;
    for (int32_t o = 0; o < spec->out; ++o) {
        const int32_t to = spec->shuffled ? psr_place_in_detail(o, arch->side) : o;
        for (int32_t j = 0; j < per_output; ++j) {
            const float value =
                read_number(blob->payload, blob->dtype, at + (size_t)o * per_output + j);
            const int32_t plane = j / (k * k);
            const int32_t i = spec->reads_input ? psr_place_in_unit(plane, arch->units) : plane;
            finite &= isfinite(value) != 0;
            weights[weight_index(conv, net->version->group_blocks, to, i, j / k % k, j % k)] =
                value;
        }
        bias[to] = read_number(blob->payload, blob->dtype, at + (size_t)spec->out * per_output + o);
        finite &= isfinite(bias[to]) != 0;
    }
    return finite ? (size_t)spec->out * (per_output + 1) : 0;
}

int psr_pack(const psr_blob *blob, psr_net *net) {
    const psr_arch *arch = &net->arch;
    const int32_t n = arch->n_convs;
    size_t floats = 0, at = 0;
    net->convs = calloc((size_t)n, sizeof *net->convs);
    if (!net->convs) return PSR_E_NOMEM;
    for (int32_t i = 0; i < n; ++i) {
        net->convs[i] = shape_of(&arch->convs[i], arch->side);
        floats += storage_floats(&net->convs[i]);
    }
    net->storage = psr_alloc(floats * sizeof(float));
    if (!net->storage) return PSR_E_NOMEM;
    memset(net->storage, 0, floats * sizeof(float));
    float *next = net->storage;
    for (int32_t i = 0; i < n; ++i) next = place(&net->convs[i], next);
    for (int32_t i = 0; i < n; ++i) {
        const size_t numbers = fill(&net->convs[i], &arch->convs[i], net, blob, at);
        if (!numbers) return PSR_E_FORMAT;
        at += numbers;
    }
    return PSR_OK;
}
