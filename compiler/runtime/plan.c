/* From a network's shape to its plans: rows of the generated structures, formulas worked out. */
#include "plan.h"

#include <stdlib.h>


/* compiler/plan/memory.py: an amount of bytes as a formula of the columns. */
typedef struct {
    int64_t per_column, fixed;
} size;

static size covering(size a, size b) {
    return (size){a.per_column > b.per_column ? a.per_column : b.per_column,
                  a.fixed > b.fixed ? a.fixed : b.fixed};
}

static size plus(size a, size b) {
    return (size){a.per_column + b.per_column, a.fixed + b.fixed};
}

static int64_t up(int64_t number, int64_t multiple) {
    return (number + multiple - 1) / multiple * multiple;
}

/* Each coefficient such that every offset is a multiple of PSR_ALIGN, for whole PSR_COLUMNS. */
static size aligned(size s) {
    return (size){up(s.per_column, PSR_ALIGN / PSR_COLUMNS), up(s.fixed, PSR_ALIGN)};
}

static const psr_structure *find(int32_t id, int32_t depth, int32_t anchor) {
    for (int32_t i = 0; i < psr_n_structures; ++i) {
        const psr_structure *s = &psr_structures[i];
        if (s->id == id && s->depth == depth && s->anchor == anchor) return s;
    }
    return NULL;
}

static int32_t bicubic_of(const psr_arch *arch) {
    return arch->p == arch->q ? PSR_IDENTITY : arch->units == 1 ? PSR_NEAR : PSR_WIDE;
}

static const psr_structure *structure_of(const psr_arch *arch, int32_t depth) {
    if (depth == 0) return find(PSR_NO_NETWORK, 0, bicubic_of(arch));
    return find(arch->id, depth, arch->id == PSR_CHAIN ? bicubic_of(arch) : PSR_NO_ANCHOR);
}

/* The layout of a row of a value: compiler/plan/formats.py. */
static void lay_out(const psr_arch *arch, psr_place *place) {
    const int32_t value = psr_is_int8 ? 1 : 4, sum = psr_is_int8 ? 2 : 4, u = arch->units;
    int32_t channels = 3 * u * u;
    place->blocks = 1;
    switch (place->row->kind) {
        case PSR_PIXELS:
            place->blocks = u;
            place->pixel = u * PSR_PIXEL * value;
            return;
        case PSR_ANCHOR_ROWS:
            place->blocks = u;
            place->pixel = 3 * arch->side * sum;
            return;
        case PSR_SHUFFLED:
            place->blocks = arch->side;
            place->pixel = 3 * arch->side * sum;
            return;
        case PSR_INPUT:
            place->pixel = PSR_PIXEL * value;
            if (u == 1) return;
            break;
        default: channels = arch->convs[place->row->conv].out;
    }
    place->blocks = (channels + PSR_BLOCK - 1) / PSR_BLOCK;
    place->pixel = PSR_BLOCK * value;
}

static size size_of(const psr_place *place) {
    const int64_t column = (int64_t)place->blocks * place->pixel;
    const size row = {column, column * (2 * place->row->margin_x + PSR_SLACK)};
    return aligned((size){place->ring * row.per_column, place->ring * row.fixed});
}

static int touches(const psr_step_row *step, int32_t value) {
    return step->source == value || step->adds == value || step->result == value;
}

/* First and last step that a value is alive in. */
typedef struct {
    int32_t first, last;
} life;

static life life_of(const psr_plan *plan, int32_t value) {
    life found = {plan->n_steps, -1};
    if (!plan->places[value].row->is_single) return (life){0, plan->n_steps - 1};
    for (int32_t i = 0; i < plan->n_steps; ++i) {
        if (!touches(plan->steps[i].row, value)) continue;
        if (found.last < 0) found.first = i;
        found.last = i;
    }
    return found;
}

/* Each value above all those placed before it that live with it: the order is the compiler's. */
static void place_values(psr_plan *plan) {
    size arena = {0, 0};
    for (int32_t i = 0; i < plan->n_places; ++i) {
        const life own = life_of(plan, i);
        size offset = {0, 0};
        for (int32_t j = 0; j < i; ++j) {
            const life other = life_of(plan, j);
            const size at = {plan->places[j].per_column, plan->places[j].fixed};
            if (own.first <= other.last && other.first <= own.last)
                offset = covering(offset, plus(at, size_of(&plan->places[j])));
        }
        plan->places[i].per_column = offset.per_column;
        plan->places[i].fixed = offset.fixed;
        arena = covering(arena, plus(offset, size_of(&plan->places[i])));
    }
    plan->per_column = arena.per_column;
    plan->fixed = arena.fixed;
}

/* Bit d: an exit leaves at depth d. */
static uint32_t exits_of(const psr_arch *arch) {
    uint32_t bits = 0;
    for (int32_t i = 0; i < arch->n_exits; ++i) bits |= 1u << arch->exits[i];
    return bits;
}

static int32_t conv_of(const psr_arch *arch, const psr_step_row *row) {
    int32_t number = row->conv;
    if (!row->exit) return number;
    for (number = psr_arch_depth(arch); arch->exits[number - psr_arch_depth(arch)] != row->exit;)
        ++number;
    return number;
}

static int instantiate(const psr_arch *arch, const psr_structure *s, uint32_t exits,
                       psr_plan *plan) {
    plan->halo = s->halo;
    plan->depth = s->rows;
    plan->steps = calloc(s->n_steps, sizeof *plan->steps);
    plan->places = calloc(s->n_values ? s->n_values : 1, sizeof *plan->places);
    if (!plan->steps || !plan->places) return PSR_E_NOMEM;
    for (int32_t i = 0; i < s->n_values; ++i) {
        psr_place *place = &plan->places[plan->n_places++];
        place->row = &s->values[i];
        place->ring = exits >> place->row->exit & 1 ? place->row->exit_ring : place->row->ring;
        lay_out(arch, place);
    }
    for (int32_t i = 0; i < s->n_steps; ++i) {
        const psr_step_row *row = &s->steps[i];
        if (row->exit && !(exits >> row->exit & 1)) continue;
        psr_step *step = &plan->steps[plan->n_steps++];
        step->row = row;
        step->conv = conv_of(arch, row);
    }
    place_values(plan);
    return PSR_OK;
}

/* How far beyond its patches a path reads the value that convolution `conv` makes, or -1. */
static int32_t reach_of(const psr_arch *arch, int path, const psr_step *step) {
    const int exit = psr_exit_of(arch, path);
    if (exit < 0) return -1;
    if (step->row->exit) return arch->exits[exit] == step->row->exit ? 0 : -1;
    const psr_structure *s = structure_of(arch, arch->exits[exit]);
    for (int32_t i = 0; i < s->n_values; ++i)
        if (s->values[i].kind == PSR_HIDDEN && s->values[i].conv == step->row->conv)
            return s->values[i].margin_y;
    return -1;
}

static int plan_all(psr_net *net) {
    const psr_arch *arch = &net->arch;
    psr_plan *all = &net->plans[PSR_PATH_ALL];
    const int32_t depth = psr_arch_depth(arch);
    const int error = instantiate(arch, structure_of(arch, depth), exits_of(arch), all);
    for (int32_t i = 0; !error && i < all->n_steps; ++i)
        for (int path = 0; path < PSR_PATHS; ++path)
            all->steps[i].reach.of[path] = reach_of(arch, path, &all->steps[i]);
    return error;
}

int psr_plan_paths(psr_net *net) {
    const psr_arch *arch = &net->arch;
    int error = instantiate(arch, structure_of(arch, 0), 0, &net->plans[PSR_PATH_BICUBIC]);
    for (int path = PSR_PATH_EASY; !error && path < PSR_PATHS; ++path) {
        const int exit = psr_exit_of(arch, path);
        if (exit < 0) continue;
        const int32_t depth = arch->id == PSR_CHAIN ? arch->exits[exit] : psr_arch_depth(arch);
        error = instantiate(arch, structure_of(arch, depth), 1u << arch->exits[exit],
                            &net->plans[path]);
    }
    /* Where a network makes all of the picture, bicubic patches cannot be made with its others. */
    return error || arch->id != PSR_CHAIN ? error : plan_all(net);
}

void psr_drop_plans(psr_net *net) {
    for (int path = 0; path <= PSR_PATH_ALL; ++path) {
        free(net->plans[path].steps);
        free(net->plans[path].places);
    }
}
