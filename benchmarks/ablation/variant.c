/* What takes the place of runtime/plan.c and run.c in a variant's library: both of them, and the
 * variant's plan of the hard path with its own loop. */
#define psr_plan_paths plan_as_shipped
#include "plan.c"
#undef psr_plan_paths
#define psr_run run_as_shipped
#include "run.c"
#undef psr_run

#include <string.h>

#include "unfused.h"
#include "variant.h"

static void drop(psr_plan *plan) {
    free(plan->steps);
    free(plan->places);
    *plan = (psr_plan){0};
}

int psr_plan_paths(psr_net *net) {
    const int error = plan_as_shipped(net);
    if (error) return error;
    drop(&net->plans[PSR_PATH_ALL]);
    if (!variant_plan.steps) return PSR_OK;
    psr_plan *hard = &net->plans[PSR_PATH_HARD];
    drop(hard);
    *hard = variant_plan;
    const size_t steps = (size_t)hard->n_steps * sizeof *hard->steps;
    const size_t places = (size_t)hard->n_places * sizeof *hard->places;
    hard->steps = malloc(steps);
    hard->places = malloc(places);
    if (!hard->steps || !hard->places) return PSR_E_NOMEM;
    memcpy(hard->steps, variant_plan.steps, steps);
    memcpy(hard->places, variant_plan.places, places);
    return PSR_OK;
}

static void one_row(const psr_plan *plan, const psr_io *io, const psr_plane *planes, int32_t step,
                    int32_t y) {
    const psr_step *what = &plan->steps[step];
    const psr_step_row *row = what->row;
    if (row->op < UNFUSED_SUMS)
        compute(io, what, planes, y);
    else
        unfused_row(io, row->op, what->conv, at(planes, row->source), at(planes, row->adds),
                    at(planes, row->result), y);
}

static int32_t margin_of(const psr_plan *plan, int32_t step) {
    const uint8_t result = plan->steps[step].row->result;
    return result == PSR_NONE ? 0 : plan->places[result].row->margin_y;
}

static void run_layers(const psr_plan *plan, const psr_io *io, const psr_plane *planes) {
    for (int32_t i = 0; i < plan->n_steps; ++i)
        for (int32_t y = -margin_of(plan, i); y < io->h + margin_of(plan, i); ++y)
            one_row(plan, io, planes, i, y);
}

static void run_rows(const psr_plan *plan, const psr_io *io, const psr_plane *planes) {
    for (int32_t s = -plan->halo; s < io->h + plan->depth; ++s)
        for (int32_t i = 0; i < plan->n_steps; ++i)
            one_row(plan, io, planes, i, s - plan->steps[i].row->delay);
}

void psr_run(const psr_plan *plan, const psr_io *io, uint8_t *arena) {
    if (!variant_plan.steps || plan->steps->row != variant_plan.steps->row) {
        run_as_shipped(plan, io, arena);
        return;
    }
    psr_plane planes[MAX_PLACES];
    for (int32_t i = 0; i < plan->n_places; ++i)
        planes[i] = plane_of(&plan->places[i], io->w, arena);
    (variant_is_layered ? run_layers : run_rows)(plan, io, planes);
}
