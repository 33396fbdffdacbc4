/* What a network is, and how its paths run, as JSON for people and tests. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "plan.h"

/* Text that grows as snprintf counts: what does not fit is counted all the same. */
typedef struct {
    char *out;
    size_t n;
    int length;
} text;

static void say(text *t, const char *format, ...) {
    const size_t used = (size_t)t->length < t->n ? (size_t)t->length : t->n;
    va_list arguments;
    va_start(arguments, format);
    t->length += vsnprintf(t->out ? t->out + used : NULL, t->n - used, format, arguments);
    va_end(arguments);
}

static void say_numbers(text *t, const char *name, const uint16_t *numbers, int32_t n) {
    say(t, "\"%s\": [", name);
    for (int32_t i = 0; i < n; ++i) say(t, "%s%d", i ? ", " : "", numbers[i]);
    say(t, "], ");
}

/* Multiply-accumulates of a place; bicubic and the anchor are not counted. */
static int64_t macs_of(const psr_net *net, const psr_plan *plan) {
    int64_t macs = 0;
    for (int32_t i = 0; i < plan->n_steps; ++i) {
        if (plan->steps[i].row->op < PSR_CONVOLVE) continue;
        const psr_conv_spec *conv = &net->arch.convs[plan->steps[i].conv];
        macs += (int64_t)conv->out * conv->in * conv->window * conv->window;
    }
    return macs;
}

static const char *const paths[PSR_PATHS + 1] = {"bicubic", "easy",  "hard",
                                                 "middle",  "upper", "all"};

int psr_info(const psr_net *net, int h, int w, char *out, size_t n) {
    if (!net || h < 1 || w < 1 || h > PSR_MAX_SIDE || w > PSR_MAX_SIDE) return 0;
    static const char *const names[] = {"", "chain", "espcn", "wdsr"};
    const psr_arch *arch = &net->arch;
    const int32_t u = arch->units, rows = (h + u - 1) / u, columns = (w + u - 1) / u;
    text t = {out, n, 0};
    say(&t, "{\"architecture\": \"%s\", \"scale\": \"%d/%d\", \"units\": %d, ", names[arch->id],
        arch->p, arch->q, u);
    say_numbers(&t, "widths", arch->widths, arch->n_widths);
    say_numbers(&t, "exits", arch->exits, arch->n_exits);
    say(&t, "\"isa\": \"%s\", \"paths\": {", psr_version_name(net->version));
    for (int path = 0, some = 0; path < PSR_PATHS; ++path) {
        const psr_plan *plan = psr_plan_of(net, path);
        if (!plan->steps) continue;
        say(&t, "%s\"%s\": {\"halo_px\": %d, \"macs\": %" PRId64 ", \"arena_bytes\": %zu}",
            some++ ? ", " : "", paths[path], plan->halo * u, macs_of(net, plan) * rows * columns,
            psr_plan_arena_bytes(plan, columns));
    }
    say(&t, "}}");
    return t.length;
}

static void say_values(text *t, const psr_plan *plan) {
    static const char *const kinds[] = {"input", "pixels", "anchor", "hidden", "shuffled"};
    for (int32_t i = 0; i < plan->n_places; ++i) {
        const psr_place *p = &plan->places[i];
        say(t, "%s[\"%s\", %d, %d, %d, %d, %d, %" PRId64 ", %" PRId64 "]", i ? ", " : "",
            kinds[p->row->kind], p->row->margin_y, p->row->margin_x, p->ring, p->blocks, p->pixel,
            p->per_column, p->fixed);
    }
}

static void say_steps(text *t, const psr_plan *plan) {
    static const char *const ops[] = {"load",  "pixels",   "anchor",
                                      "store", "convolve", "convolve"};
    for (int32_t i = 0; i < plan->n_steps; ++i) {
        const psr_step_row *row = plan->steps[i].row;
        say(t, "%s[\"%s\", %d, %d, %d, %d, %d]", i ? ", " : "", ops[row->op],
            row->op >= PSR_CONVOLVE ? plan->steps[i].conv : -1, row->source, row->adds, row->result,
            row->delay);
    }
}

int psr_explain(const psr_net *net, int path, char *out, size_t n) {
    if (!net || path < 0 || path > PSR_PATH_ALL || !psr_plan_of(net, path)->steps) return 0;
    const psr_plan *plan = psr_plan_of(net, path);
    text t = {out, n, 0};
    say(&t, "{\"path\": \"%s\", \"halo\": %d, \"depth\": %d, \"arena\": [%" PRId64 ", %" PRId64
            "], \"values\": [",
        paths[path], plan->halo, plan->depth, plan->per_column, plan->fixed);
    say_values(&t, plan);
    say(&t, "], \"steps\": [");
    say_steps(&t, plan);
    say(&t, "]}");
    return t.length;
}
