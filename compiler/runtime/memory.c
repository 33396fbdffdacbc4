/* Memory aligned for the kernels. */
#define _POSIX_C_SOURCE 200112L /* posix_memalign: Android has aligned_alloc only since API 28 */
#include <stdlib.h>

#include "internal.h"

void *psr_alloc(size_t bytes) {
    void *memory;
    return posix_memalign(&memory, PSR_ALIGN, bytes ? bytes : 1) ? NULL : memory;
}

void psr_free(void *memory) { free(memory); }
