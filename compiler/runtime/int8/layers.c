/* The router's convolutions on the kernels of the networks. */
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "router.h"
#include "rows.h"

struct psr_layers {
    psr_net net; /* its convolutions alone: it belongs to no architecture */
};

int psr_layers_open(const psr_conv_spec *specs, int32_t n, const uint8_t *payload,
                    psr_layers **out) {
    psr_layers *layers = calloc(1, sizeof *layers);
    if (!layers) return PSR_E_NOMEM;
    const psr_blob blob = {.payload = payload, .dtype = PSR_INT8};
    layers->net.arch.n_convs = n;
    memcpy(layers->net.arch.convs, specs, (size_t)n * sizeof *specs);
    layers->net.version = psr_version_in_use();
    const int error = psr_pack(&blob, &layers->net);
    if (error)
        psr_layers_close(layers);
    else
        *out = layers;
    return error;
}

void psr_layers_close(psr_layers *layers) {
    if (!layers) return;
    psr_free(layers->net.storage);
    free(layers->net.convs);
    free(layers);
}

uint8_t psr_layers_flip(const psr_layers *layers) {
    return layers->net.version->is_signed ? 128 : 0;
}

void psr_layers_row(const psr_layers *layers, int32_t number, const psr_plane *src,
                    const psr_plane *dst, int32_t y, int32_t w) {
    const psr_io io = {.version = layers->net.version,
                       .convs = layers->net.convs,
                       .h = PSR_MAX_SIDE,
                       .w = w,
                       .halo = 1}; /* psr_layers_at counts rows from -1 as well */
    psr_convolve(&io, number, src, dst, NULL, y, 1, &(psr_reach){{0}});
}
