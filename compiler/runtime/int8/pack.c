/* Weights from the blob's order [O, I, k, k] into the order in which a version's kernels read
 * them, and the proof that no sum can leave the integers that a float holds exactly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "coded.h"
#include "kernels.h"

enum { MOST_SUM = 1 << 24, MOST_PIXEL = 255, ZERO_POINT = 128 };

static const float LEAST_SCALE = 0x1p-40f, MOST_SCALE = 64.0f;

/* One convolution of the blob: weights [O, I, k, k], read one after the other, biases,
 * multipliers. */
typedef struct {
    const uint8_t *bitmap; /* the weights that are stored; NULL: all of them are */
    const uint8_t *stored; /* the next of them */
    size_t next;           /* index of the weight to read next */
    const uint8_t *bias, *scale;
    int32_t out, per_output, window;
} layer;

/* psr_blob_parse has proved that all of it is there. */
static layer layer_at(const psr_conv_spec *spec, const uint8_t *payload, int32_t dtype) {
    const int32_t per_output = spec->in * spec->window * spec->window;
    const size_t weights = (size_t)spec->out * per_output;
    layer found = {.stored = payload, .out = spec->out, .per_output = per_output,
                   .window = spec->window};
    size_t stored = weights;
    if (dtype == PSR_INT8_SPARSE) {
        const size_t bytes = psr_bitmap_bytes(weights);
        found.bitmap = payload;
        found.stored = payload + bytes;
        stored = psr_count_bits(payload, bytes);
    }
    found.bias = found.stored + stored;
    found.scale = found.bias + 4 * (size_t)spec->out;
    return found;
}

static int8_t next_weight(layer *from) {
    const size_t i = from->next++;
    if (from->bitmap && !(from->bitmap[i / 8] >> i % 8 & 1)) return 0;
    return (int8_t)*from->stored++;
}

/* Groups of inputs, rounded up to what the kernels take at a time; weights that are not there
 * are zero. */
static int32_t groups_of(const psr_version *version, int32_t inputs, int is_rgb) {
    const int32_t step = version->step_groups[!is_rgb] * PSR_GROUP;
    return (inputs + step - 1) / step * step / PSR_GROUP;
}

static psr_conv shape_of(const psr_version *version, const psr_conv_spec *spec, int32_t side) {
    const int rgb = spec->in == 3;
    return (psr_conv){.in_channels = rgb ? PSR_PIXEL : PSR_BLOCK,
                      .in_groups = groups_of(version, spec->in, rgb),
                      .out_blocks = psr_out_blocks(spec, side),
                      .window = spec->window,
                      .phase_blocks = spec->shuffled ? psr_phase_blocks(side) : 0};
}

static int32_t packing_of(const psr_version *version, const psr_conv *conv) {
    return version->packing[conv->in_channels == PSR_BLOCK];
}

static size_t weight_size(const psr_version *version, const psr_conv *conv) {
    return packing_of(version, conv) == PSR_PACK_WIDE_PAIRS ? sizeof(int16_t) : sizeof(int8_t);
}

/* Groups whose weights lie together. */
static int32_t groups_together(int32_t packing) { return packing == PSR_PACK_OCTETS ? 2 : 1; }

/* Place of output `lane` of a vector, and of input i, in the weights of groups that lie together. */
static size_t place_in_groups(int32_t packing, int32_t lanes, int32_t lane, int32_t i) {
    const int32_t half = i / 2;
    switch (packing) {
        case PSR_PACK_WIDE_PAIRS: return ((size_t)(i % 2) * lanes + lane) * 2 + half;
        case PSR_PACK_PAIRS: return ((size_t)half * lanes + lane) * 2 + i % 2;
        case PSR_PACK_LINES: return (size_t)i * lanes + lane;
        default: return (size_t)lane * groups_together(packing) * PSR_GROUP + i;
    }
}

/* Where a weight lies in a packed convolution: its place on each axis, the outermost axis first.
 *
 *   [output group][ky][input block][kx][step][vector][lane and input]
 *
 * That is the order of the kernels' loops (kernels/int8/convolution.py), so that a kernel reads its
 * weights as one stream, front to back, and no loop needs a stride of its own. Blocks of inputs lie
 * outside kx because a row of activations has a block's pixels side by side: the columns of the
 * window are then steps of one pixel through the same cache lines. */
typedef struct {
    int32_t out_block;  /* where the group of output blocks begins that one kernel computes */
    int32_t out_blocks; /* and how many blocks it has */
    int32_t ky;
    int32_t in_groups_before; /* groups of four inputs in the blocks before this one */
    int32_t in_groups;        /* and in this one: the last may have fewer than a block holds */
    int32_t kx;
    int32_t step;   /* first of the groups in the block whose weights lie together */
    int32_t vector; /* of outputs, in the group of output blocks */
    int32_t lane;   /* of the vector */
    int32_t input;  /* of the step */
} axes;

static axes axes_of(const psr_version *version, const psr_conv *conv, int32_t o, int32_t i,
                    int32_t ky, int32_t kx) {
    const int32_t per_block = PSR_BLOCK / PSR_GROUP, most = version->group_blocks;
    const int32_t together = groups_together(packing_of(version, conv));
    const int32_t block = o / PSR_BLOCK, first = block / most * most;
    /* Blocks that are too few for a group are computed one at a time. */
    const int is_whole = conv->out_blocks - first >= most;
    const int32_t out_block = is_whole ? first : block;
    const int32_t before = i / PSR_BLOCK * per_block, left = conv->in_groups - before;
    return (axes){.out_block = out_block,
                  .out_blocks = is_whole ? most : 1,
                  .ky = ky,
                  .in_groups_before = before,
                  .in_groups = left < per_block ? left : per_block,
                  .kx = kx,
                  .step = i / PSR_GROUP / together * together - before,
                  .vector = (o - out_block * PSR_BLOCK) / version->lanes,
                  .lane = o % version->lanes,
                  .input = i % (together * PSR_GROUP)};
}

static size_t index_of(const psr_version *version, const psr_conv *conv, axes at) {
    const int32_t packing = packing_of(version, conv);
    const size_t outputs = (size_t)at.out_blocks * PSR_BLOCK;
    const size_t window = (size_t)conv->window * conv->window;
    const size_t group = (size_t)at.out_block * PSR_BLOCK * window * conv->in_groups;
    const size_t row = ((size_t)at.ky * conv->in_groups + at.in_groups_before) * conv->window;
    const size_t tap = row + (size_t)at.kx * at.in_groups + at.step;
    const size_t vector = (size_t)at.vector * version->lanes * groups_together(packing);
    return (group + tap * outputs + vector) * PSR_GROUP +
           place_in_groups(packing, version->lanes, at.lane, at.input);
}

static void put_weight(const psr_version *version, const psr_conv *conv, size_t at, int8_t value) {
    if (weight_size(version, conv) == sizeof(int16_t))
        ((int16_t *)conv->weights)[at] = value;
    else
        ((int8_t *)conv->weights)[at] = value;
}


/* Packs output o, the next one; refuses weights of -128, sums that may reach 2^24, multipliers out
 * of range. */
static int fill_output(const psr_net *net, const psr_conv *conv, const psr_conv_spec *spec,
                       layer *from, int32_t o) {
    const psr_arch *arch = &net->arch;
    const int32_t to = spec->shuffled ? psr_place_in_detail(o, arch->side) : o, k = from->window;
    const float scale = psr_read_f32(from->scale + 4 * (size_t)o);
    const int32_t bias = psr_read_s32(from->bias + 4 * (size_t)o);
    int32_t sum = 0, magnitude = 0;
    for (int32_t j = 0; j < from->per_output; ++j) {
        const int8_t value = next_weight(from);
        if (value == INT8_MIN) return PSR_E_LIMIT;
        sum += value;
        magnitude += abs(value);
        const int32_t plane = j / (k * k);
        const int32_t i = spec->reads_input ? psr_place_in_unit(plane, arch->units) : plane;
        const axes at = axes_of(net->version, conv, to, i, j / k % k, j % k);
        put_weight(net->version, conv, index_of(net->version, conv, at), value);
    }
    if ((int64_t)MOST_PIXEL * magnitude + llabs((long long)bias) >= MOST_SUM) return PSR_E_LIMIT;
    if (!(scale >= LEAST_SCALE && scale < MOST_SCALE)) return PSR_E_LIMIT;
    ((int32_t *)conv->bias)[to] = bias + (net->version->is_signed ? ZERO_POINT * sum : 0);
    ((float *)conv->scale)[to] = scale;
    return PSR_OK;
}

static size_t outputs_of(const psr_conv *conv) { return (size_t)conv->out_blocks * PSR_BLOCK; }

static size_t align(size_t bytes) { return (bytes + PSR_ALIGN - 1) / PSR_ALIGN * PSR_ALIGN; }

static size_t weight_bytes(const psr_conv *conv) {
    return align(conv->weight_bytes_per_block * conv->out_blocks);
}

static size_t storage_bytes(const psr_conv *conv) {
    return weight_bytes(conv) + 2 * align(outputs_of(conv) * 4);
}

/* Lays a convolution's arrays out at `storage`; returns where the next one begins. */
static uint8_t *place(psr_conv *conv, uint8_t *storage) {
    conv->weights = (const int8_t *)storage;
    conv->bias = (const int32_t *)(storage + weight_bytes(conv));
    conv->scale = (const float *)(storage + weight_bytes(conv) + align(outputs_of(conv) * 4));
    return storage + storage_bytes(conv);
}

static int allocate(psr_net *net) {
    const psr_arch *arch = &net->arch;
    size_t bytes = 0;
    net->convs = calloc((size_t)arch->n_convs, sizeof *net->convs);
    if (!net->convs) return PSR_E_NOMEM;
    for (int32_t i = 0; i < arch->n_convs; ++i) {
        psr_conv *conv = &net->convs[i];
        *conv = shape_of(net->version, &arch->convs[i], arch->side);
        conv->weight_bytes_per_block = (size_t)conv->window * conv->window * conv->in_groups *
                                       PSR_GROUP * PSR_BLOCK * weight_size(net->version, conv);
        bytes += storage_bytes(conv);
    }
    net->storage = psr_alloc(bytes);
    if (!net->storage) return PSR_E_NOMEM;
    memset(net->storage, 0, bytes);
    uint8_t *next = net->storage;
    for (int32_t i = 0; i < arch->n_convs; ++i) next = place(&net->convs[i], next);
    return PSR_OK;
}

/* Packs convolution i from `payload`; `end` is where the next one begins. */
static int fill_conv(const psr_net *net, int32_t i, const uint8_t *payload, int32_t dtype,
                     const uint8_t **end) {
    const psr_conv_spec *spec = &net->arch.convs[i];
    layer from = layer_at(spec, payload, dtype);
    int error = PSR_OK;
    for (int32_t o = 0; !error && o < from.out; ++o)
        error = fill_output(net, &net->convs[i], spec, &from, o);
    *end = from.scale + 4 * (size_t)from.out;
    return error;
}

static int fill_stored(const psr_blob *blob, const psr_net *net) {
    const uint8_t *payload = blob->payload;
    int error = PSR_OK;
    for (int32_t i = 0; !error && i < net->arch.n_convs; ++i)
        error = fill_conv(net, i, payload, blob->dtype, &payload);
    return error;
}

/* One convolution at a time goes through memory as a dense blob has it. */
static int fill_coded(const psr_blob *blob, const psr_net *net) {
    size_t most = 0;
    for (int32_t i = 0; i < net->arch.n_convs; ++i) {
        const size_t bytes = psr_dense_bytes(&net->arch.convs[i], PSR_INT8);
        if (bytes > most) most = bytes;
    }
    uint8_t *dense = malloc(most);
    const uint8_t *end;
    psr_coded *coded = psr_coded_open(blob);
    int error = dense && coded ? PSR_OK : PSR_E_NOMEM;
    for (int32_t i = 0; !error && i < net->arch.n_convs; ++i) {
        error = psr_coded_next(coded, dense);
        if (!error) error = fill_conv(net, i, dense, PSR_INT8, &end);
    }
    if (!error && !psr_coded_is_whole(coded)) error = PSR_E_FORMAT;
    psr_coded_close(coded);
    free(dense);
    return error;
}

int psr_pack(const psr_blob *blob, psr_net *net) {
    const int error = allocate(net);
    if (error) return error;
    return blob->dtype == PSR_INT8_CODED ? fill_coded(blob, net) : fill_stored(blob, net);
}
