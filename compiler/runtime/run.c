/* One patch by its plan: all layers together, a row of each at a time. */
#include "plan.h"
#include "rows.h"

enum { MAX_PLACES = 2 * PSR_MAX_BLOCKS + 5 };

static psr_plane plane_of(const psr_place *place, int32_t w, uint8_t *arena) {
    const int32_t margin = place->row->margin_x, columns = w + 2 * margin + PSR_SLACK;
    return (psr_plane){arena + place->per_column * psr_columns(w) + place->fixed,
                       place->ring,
                       place->row->margin_y,
                       margin,
                       place->blocks * place->pixel * columns,
                       place->pixel,
                       place->pixel * columns};
}

static const psr_plane *at(const psr_plane *planes, uint8_t number) {
    return number == PSR_NONE ? NULL : &planes[number];
}

static void compute(const psr_io *io, const psr_step *step, const psr_plane *planes, int32_t y) {
    const psr_step_row *row = step->row;
    const psr_plane *source = at(planes, row->source), *adds = at(planes, row->adds);
    const psr_plane *result = at(planes, row->result);
    switch (row->op) {
        case PSR_LOAD: psr_load(io, result, y); break;
        case PSR_LOAD_PIXELS: psr_load_pixels(io, result, y); break;
        case PSR_ANCHOR: psr_anchor(io, source, result, y); break;
        case PSR_STORE: psr_store(io, source, adds, row->flag, y); break;
        case PSR_DETAIL: psr_detail(io, step->conv, source, result, adds, y, &step->reach); break;
        default: psr_convolve(io, step->conv, source, result, adds, y, row->flag, &step->reach);
    }
}

void psr_run(const psr_plan *plan, const psr_io *io, uint8_t *arena) {
    psr_plane planes[MAX_PLACES];
    for (int32_t i = 0; i < plan->n_places; ++i)
        planes[i] = plane_of(&plan->places[i], io->w, arena);
    for (int32_t s = -plan->halo; s < io->h + plan->depth; ++s)
        for (int32_t i = 0; i < plan->n_steps; ++i)
            compute(io, &plan->steps[i], planes, s - plan->steps[i].row->delay);
}
