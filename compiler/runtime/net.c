/* Networks: open, close, ask, upscale one patch. */
#include <stdlib.h>
#include <string.h>

#include "plan.h"

uint32_t psr_abi(void) { return 5; }

const char *psr_build_info(void) { return psr_build_text; }

static int build(const psr_blob *blob, psr_net *net) {
    net->arch = blob->arch;
    net->version = psr_version_in_use();
    int error = psr_plan_paths(net);
    if (!error) error = psr_pack(blob, net);
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

const char *psr_fault(const uint8_t *bytes, size_t n) {
    psr_blob blob;
    return bytes && psr_blob_parse(bytes, n, &blob) ? blob.why : NULL;
}

void psr_net_close(psr_net *net) {
    if (!net) return;
    psr_drop_plans(net);
    psr_free(net->storage);
    free(net->convs);
    free(net);
}

int psr_hr_px(const psr_net *net, int lr_px) {
    if (!net || lr_px < 0 || lr_px > PSR_MAX_SIDE) return 0;
    return (lr_px * net->arch.p + net->arch.q - 1) / net->arch.q;
}

int psr_unit_px(const psr_net *net) { return net ? net->arch.units : 0; }

const psr_plan *psr_plan_of(const psr_net *net, int path) { return &net->plans[path]; }

size_t psr_plan_arena_bytes(const psr_plan *plan, int32_t w) {
    return (size_t)(plan->per_column * psr_columns(w) + plan->fixed);
}

/* A path that callers may name, or NULL. */
static const psr_plan *public_plan(const psr_net *net, int path) {
    if (!net || path < 0 || path >= PSR_PATHS) return NULL;
    const psr_plan *found = psr_plan_of(net, path);
    return found->steps ? found : NULL;
}

int psr_halo_px(const psr_net *net, int path) {
    const psr_plan *found = public_plan(net, path);
    return found ? found->halo * net->arch.units : -1;
}

/* Whole units, and no more than a frame may have. */
static int is_side(const psr_net *net, int side) {
    return side >= 1 && side <= PSR_MAX_SIDE && side % net->arch.units == 0;
}

size_t psr_arena_bytes(const psr_net *net, int path, int h, int w) {
    const psr_plan *found = public_plan(net, path);
    if (!found || !is_side(net, h) || !is_side(net, w)) return 0;
    return psr_plan_arena_bytes(found, w / net->arch.units);
}

int psr_upscale(const psr_net *net, int path, const uint8_t *lr, ptrdiff_t lr_stride, int h, int w,
                uint8_t *hr, ptrdiff_t hr_stride, void *arena) {
    const psr_plan *found = public_plan(net, path);
    if (!found || !is_side(net, h) || !is_side(net, w) || !lr || !hr || !arena) return PSR_E_ARG;
    if ((uintptr_t)arena % PSR_ALIGN || lr_stride != (int32_t)lr_stride) return PSR_E_ARG;
    const psr_io io = {.version = net->version,
                       .convs = net->convs,
                       .arch = &net->arch,
                       .lr = lr,
                       .lr_stride = lr_stride,
                       .hr = hr,
                       .hr_stride = hr_stride,
                       .h = h / net->arch.units,
                       .w = w / net->arch.units,
                       .halo = found->halo,
                       .hr_h = psr_hr_px(net, h),
                       .hr_w = psr_hr_px(net, w)};
    psr_run(found, &io, arena);
    return PSR_OK;
}
