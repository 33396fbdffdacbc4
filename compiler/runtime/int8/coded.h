/* Convolutions out of the range coder: player/package/coded_layers.py and weight_coder.py in C. */
#ifndef PSR_CODED_H
#define PSR_CODED_H

#include "internal.h"

typedef struct psr_coded psr_coded;

/* NULL where there is no memory. The blob must live as long. */
psr_coded *psr_coded_open(const psr_blob *blob);
/* The next convolution as a dense blob has it; PSR_E_FORMAT where it is not whole. */
int psr_coded_next(psr_coded *coded, uint8_t *dense);
/* Whether nothing is left and all was as an encoder makes it. */
int psr_coded_is_whole(const psr_coded *coded);
void psr_coded_close(psr_coded *coded);

#endif
