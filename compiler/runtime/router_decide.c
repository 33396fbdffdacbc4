/* The router's decision: the nearest centre, unless a second one is nearly as near. */
#include <limits.h>

#include "router_frame.h"

static int32_t distance(const uint8_t *a, const int16_t *b, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* The path of the class whose centre is nearest, the lowest of equals; too close a second one
 * makes it the safe path. */
uint8_t psr_router_decide(const psr_router *router, const uint8_t *attended) {
    int32_t first = INT32_MAX, second = INT32_MAX, nearest = 0;
    for (int32_t k = 0; k < router->classes; ++k) {
        const int32_t found =
            distance(attended, router->centres[k], router->features) + router->offsets[k];
        if (found < first) {
            second = first;
            first = found;
            nearest = k;
        } else if (found < second) {
            second = found;
        }
    }
    return second - first < router->margins[nearest] ? PSR_PATH_HARD : router->paths[nearest];
}
