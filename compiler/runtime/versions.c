/* Which of the engine's kernel versions is in use. */
#include <stdatomic.h>
#include <string.h>

#include "internal.h"

static _Atomic(const psr_version *) selected;

static int can_run(const psr_version *version) {
    return (psr_version_needs(version) & ~psr_cpu_features()) == 0;
}

const psr_version *psr_version_in_use(void) {
    const psr_version *version = atomic_load(&selected);
    for (int32_t i = 0; !version && i < psr_n_versions; ++i)
        if (can_run(psr_versions[i])) version = psr_versions[i];
    return version;
}

const char *psr_isa(void) { return psr_version_name(psr_version_in_use()); }

int psr_select_isa(const char *name) {
    if (!name) return PSR_E_ARG;
    for (int32_t i = 0; i < psr_n_versions; ++i) {
        if (strcmp(name, psr_version_name(psr_versions[i])) != 0 || !can_run(psr_versions[i]))
            continue;
        atomic_store(&selected, psr_versions[i]);
        return PSR_OK;
    }
    return PSR_E_ARG;
}
