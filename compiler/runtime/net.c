/* Networks: open, close, ask, upscale one patch. */
#include <stdlib.h>

#include "internal.h"

uint32_t psr_abi(void) { return 3; }

const char *psr_build_info(void) { return psr_info; }

static int build(const psr_blob *blob, psr_net *net) {
    net->arch = blob->arch;
    net->version = psr_version_in_use();
    const int error = psr_pack(blob, net);
    return error ? error : psr_selftest(net, blob);
}

int psr_net_open(const uint8_t *bytes, size_t n, psr_net **out) {
    if (!bytes || !out) return PSR_E_ARG;
    *out = NULL;
    psr_blob blob;
    int error = psr_blob_parse(bytes, n, &blob);
    if (error) return error;
    psr_net *net = calloc(1, sizeof *net);
    if (!net) return PSR_E_NOMEM;
    error = build(&blob, net);
    if (error)
        psr_net_close(net);
    else
        *out = net;
    return error;
}

void psr_net_close(psr_net *net) {
    if (!net) return;
    psr_free(net->storage);
    free(net->convs);
    free(net);
}

int psr_net_scale(const psr_net *net) { return net ? net->arch->scale : 0; }

const psr_path *psr_path_of(const psr_net *net, int path) { return &net->arch->paths[path]; }

size_t psr_path_arena_bytes(const psr_path *path, int32_t w) {
    return (size_t)(path->arena_per_column * psr_columns(w) + path->arena_fixed);
}

/* A path that callers may name, or NULL. */
static const psr_path *public_path(const psr_net *net, int path) {
    if (!net || path < 0 || path >= PSR_PATHS) return NULL;
    const psr_path *found = psr_path_of(net, path);
    return found->run ? found : NULL;
}

int psr_halo_px(const psr_net *net, int path) {
    const psr_path *found = public_path(net, path);
    return found ? found->halo : -1;
}

static int is_side(int side) { return side >= 1 && side <= PSR_MAX_SIDE; }

size_t psr_arena_bytes(const psr_net *net, int path, int h, int w) {
    const psr_path *found = public_path(net, path);
    if (!found || !is_side(h) || !is_side(w)) return 0;
    return psr_path_arena_bytes(found, w);
}

int psr_upscale(const psr_net *net, int path, const uint8_t *lr, ptrdiff_t lr_stride, int h, int w,
                uint8_t *hr, ptrdiff_t hr_stride, void *arena) {
    const psr_path *found = public_path(net, path);
    if (!found || !is_side(h) || !is_side(w) || !lr || !hr || !arena) return PSR_E_ARG;
    if ((uintptr_t)arena % PSR_ALIGN) return PSR_E_ARG;
    const psr_io io = {.version = net->version,
                       .convs = net->convs,
                       .lr = lr,
                       .lr_stride = lr_stride,
                       .hr = hr,
                       .hr_stride = hr_stride,
                       .h = h,
                       .w = w,
                       .halo = found->halo,
                       .scale = net->arch->scale};
    found->run(&io, arena);
    return PSR_OK;
}
