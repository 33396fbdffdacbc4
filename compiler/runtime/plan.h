/* Plans as data. The compiler has planned every structure of the family: networks that differ in
 * widths, units and exits alone share one. Its rows are generated (emit/family.py); plan.c takes
 * those that a network needs and works the formulas out for its widths. */
#ifndef PSR_PLAN_H
#define PSR_PLAN_H

#include "internal.h"

enum { PSR_NO_ANCHOR, PSR_IDENTITY, PSR_NEAR, PSR_WIDE }; /* compiler/plan/graph.py: Anchor */

/* The last two are layers; PSR_DETAIL: whose outputs are HR pixels. */
enum { PSR_LOAD, PSR_LOAD_PIXELS, PSR_ANCHOR, PSR_STORE, PSR_CONVOLVE, PSR_DETAIL };

enum { PSR_INPUT, PSR_PIXELS, PSR_ANCHOR_ROWS, PSR_HIDDEN, PSR_SHUFFLED };

enum { PSR_NONE = 255 }; /* no value */

/* At step s of the loop row s - delay of `result` is computed. */
typedef struct psr_step_row {
    uint8_t op, conv; /* the convolution's number; of an exit its place among the exits follows */
    uint8_t exit;     /* depth at which this exit leaves the trunk; 0: every network has the step */
    uint8_t source, adds, result; /* numbers of values, or PSR_NONE */
    uint8_t flag;                 /* a convolution's ReLU; of the store: whether it has an anchor */
    uint8_t delay;
} psr_step_row;

/* A value: `conv` is the convolution that makes it. `exit_ring` rows are kept where an exit reads
 * it at depth `exit`. A single row lives from its first maker to its last reader, a ring always.
 * Values come in the order in which they are placed. */
typedef struct psr_value_row {
    uint8_t kind, conv, margin_y, margin_x, ring, exit, exit_ring, is_single;
} psr_value_row;

typedef struct {
    uint8_t id, depth, anchor, halo, rows; /* rows: the store's delay */
    uint8_t n_values, n_steps;
    const psr_value_row *values;
    const psr_step_row *steps;
} psr_structure;

extern const psr_structure psr_structures[];
extern const int32_t psr_n_structures;

/* Plans of all paths of a network whose arch is complete. */
int psr_plan_paths(psr_net *net);
void psr_drop_plans(psr_net *net);

/* run.c: one patch by a plan. */
void psr_run(const psr_plan *plan, const psr_io *io, uint8_t *arena);

#endif
