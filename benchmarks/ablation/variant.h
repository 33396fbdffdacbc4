/* The hard path with another plan than the engine's. */
#ifndef VARIANT_H
#define VARIANT_H

#include "plan.h"

/* Generated, one of each library. Without steps: all paths as shipped, but none are combined. */
extern const psr_plan variant_plan;
extern const int32_t variant_is_layered; /* each step is a loop of its own over all rows */

#endif
