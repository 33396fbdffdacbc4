/* Fuzzing psr_net_open: damage a blob, mend its checksum, open it. */
#ifndef PSR_FUZZ_H
#define PSR_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* open.c: the code of psr_net_open for these bytes; what opens runs on every path. */
int open_blob(const uint8_t *data, size_t size);

/* mutate.c: damages a blob at one place, as `random` says. Returns the new size, at most `most`. */
size_t mutate_blob(uint8_t *data, size_t size, size_t most, uint32_t random);
/* Puts the right checksum at the end, so that the parser reads on. */
void mend_checksum(uint8_t *data, size_t size);
/* The next number of a sequence; the state must not be 0. */
uint32_t next_random(uint32_t *state);

#endif
