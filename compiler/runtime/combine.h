/* Patches that take different paths of one network, run as one patch with a mask. */
#ifndef PSR_COMBINE_H
#define PSR_COMBINE_H

#include "mask.h"

/* Whether these patches cover the frame, all by one network that has a plan of all paths, and
 * start and end where spans do. */
int psr_can_combine(const psr_net *const *nets, const psr_patch *patches, int n, int h, int w);

/* Bytes that the mask of these patches needs. */
size_t psr_mask_bytes(const psr_patch *patches, int n, int h);

/* The mask of patches that may be combined, laid out in `memory`. */
psr_mask psr_make_mask(const psr_patch *patches, int n, int h, void *memory);

#endif
