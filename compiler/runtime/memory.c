/* Memory aligned for the kernels. */
#include <stdlib.h>

#include "internal.h"

void *psr_alloc(size_t bytes) {
    size_t rounded = (bytes + PSR_ALIGN - 1) / PSR_ALIGN * PSR_ALIGN;
    return aligned_alloc(PSR_ALIGN, rounded ? rounded : PSR_ALIGN);
}

void psr_free(void *memory) { free(memory); }
