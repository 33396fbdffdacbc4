/* A network's shape: player/package/architecture.py in C. */
#include "internal.h"

/* Which path leaves at which exit, by how many exits a network has. */
static const int8_t exit_of[PSR_MAX_EXITS + 1][PSR_PATHS] = {
    [1] = {[PSR_PATH_EASY] = -1, [PSR_PATH_HARD] = 0, [PSR_PATH_MIDDLE] = -1, [PSR_PATH_UPPER] = -1},
    [2] = {[PSR_PATH_EASY] = 0, [PSR_PATH_HARD] = 1, [PSR_PATH_MIDDLE] = -1, [PSR_PATH_UPPER] = -1},
    [3] = {[PSR_PATH_EASY] = 0, [PSR_PATH_HARD] = 2, [PSR_PATH_MIDDLE] = 1, [PSR_PATH_UPPER] = -1},
    [4] = {[PSR_PATH_EASY] = 0, [PSR_PATH_HARD] = 3, [PSR_PATH_MIDDLE] = 1, [PSR_PATH_UPPER] = 2},
};

int psr_exit_of(const psr_arch *arch, int path) {
    return path == PSR_PATH_BICUBIC ? -1 : exit_of[arch->n_exits][path];
}

int32_t psr_arch_depth(const psr_arch *arch) {
    return arch->id == PSR_WDSR ? arch->widths[2] : arch->n_widths;
}

static const char *check_units(const psr_arch *arch) {
    const int is_whole = arch->q == 1 && arch->p >= 1 && arch->p <= 4;
    if (!is_whole && !(arch->p == 3 && arch->q == 2)) return "scale is not 1, 3/2, 2, 3 or 4";
    if (arch->units < 1 || arch->units > PSR_MAX_UNITS) return "units are not of 1..3 pixels";
    if (arch->units % arch->q) return "units of an odd side have no whole pixels at scale 3/2";
    if (arch->id != PSR_CHAIN && (arch->units != 1 || !is_whole || arch->p == 1))
        return "scale is not 2, 3 or 4 on single pixels, as espcn and wdsr have it";
    return NULL;
}

static const char *check_widths(const psr_arch *arch) {
    if (arch->n_widths < 1 || arch->n_widths > PSR_MAX_DEPTH) return "depth is not in 1..12";
    if (arch->id == PSR_WDSR && arch->n_widths != 3) return "wdsr has not three widths";
    const int32_t n = arch->id == PSR_WDSR ? 2 : arch->n_widths;
    for (int32_t i = 0; i < n; ++i)
        if (arch->widths[i] % PSR_GROUP || arch->widths[i] < PSR_GROUP ||
            arch->widths[i] > PSR_MAX_WIDTH)
            return "a width is not a multiple of 4 in 4..256";
    if (arch->id == PSR_WDSR && (arch->widths[2] < 1 || arch->widths[2] > PSR_MAX_BLOCKS))
        return "wdsr has not 1..32 blocks";
    return NULL;
}

static const char *check_exits(const psr_arch *arch) {
    const int32_t most = arch->id == PSR_CHAIN ? PSR_MAX_EXITS : 1;
    if (arch->n_exits < 1 || arch->n_exits > most) return "exits are not 1..4, or 1 of a static network";
    for (int32_t i = 0; i < arch->n_exits; ++i)
        if (arch->exits[i] < 1 || (i && arch->exits[i] <= arch->exits[i - 1]))
            return "exits do not rise";
    if (arch->exits[arch->n_exits - 1] != psr_arch_depth(arch)) return "the last exit is not the depth";
    return NULL;
}

static void add(psr_arch *arch, int32_t out, int32_t in, int32_t window) {
    psr_conv_spec *conv = &arch->convs[arch->n_convs++];
    *conv = (psr_conv_spec){(uint16_t)out, (uint16_t)in, (uint16_t)window, 0, 0};
}

static void add_trunk(psr_arch *arch, int32_t planes) {
    for (int32_t i = 0; i < arch->n_widths; ++i)
        add(arch, arch->widths[i], i ? arch->widths[i - 1] : planes, 3);
}

static void add_wdsr(psr_arch *arch, int32_t planes, int32_t out) {
    const int32_t units = arch->widths[0], expanded = arch->widths[1];
    add(arch, units, planes, 3);
    for (int32_t i = 0; i < arch->widths[2]; ++i) {
        add(arch, expanded, units, 3);
        add(arch, units, expanded, 3);
    }
    add(arch, out, units, 3);
    add(arch, out, planes, 5);
}

static void add_convs(psr_arch *arch) {
    const int32_t planes = 3 * arch->units * arch->units, out = 3 * arch->side * arch->side;
    arch->n_convs = 0;
    if (arch->id == PSR_WDSR) {
        add_wdsr(arch, planes, out);
        arch->convs[arch->n_convs - 1].reads_input = 1;
        arch->convs[arch->n_convs - 1].shuffled = arch->convs[arch->n_convs - 2].shuffled = 1;
    } else {
        add_trunk(arch, planes);
        if (arch->id == PSR_ESPCN) add(arch, out, arch->widths[arch->n_widths - 1], 3);
        for (int32_t i = 0; arch->id == PSR_CHAIN && i < arch->n_exits; ++i)
            add(arch, out, arch->widths[arch->exits[i] - 1], 1);
        for (int32_t i = arch->n_widths; i < arch->n_convs; ++i) arch->convs[i].shuffled = 1;
    }
    arch->convs[0].reads_input = 1;
}

const char *psr_arch_complete(psr_arch *arch) {
    if (arch->id < PSR_CHAIN || arch->id > PSR_WDSR) return "the architecture is not known";
    if (psr_is_int8 && arch->id == PSR_WDSR) return "wdsr has no int8 form";
    const char *why = check_units(arch);
    if (!why) why = check_widths(arch);
    if (!why) why = check_exits(arch);
    if (why) return why;
    arch->side = arch->p * arch->units / arch->q;
    add_convs(arch);
    return NULL;
}
