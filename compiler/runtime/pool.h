/* A pool of threads: the same function for every task index, an arena for each thread. */
#ifndef PSR_POOL_H
#define PSR_POOL_H

#include "internal.h"

typedef void (*psr_task_fn)(void *context, int32_t task, void *arena);

/* One frame at a time: what follows is for the thread that holds the pool. */
void psr_pool_hold(psr_pool *pool);
void psr_pool_release(psr_pool *pool);

/* Memory of `bytes` that stays with the pool and only grows, so that frames allocate nothing once
 * the largest has been seen; NULL where there is none. Its contents are those of no frame. */
enum { PSR_SCRATCH_PATCHES, PSR_SCRATCH_TILES, PSR_SCRATCH_MASK, PSR_SCRATCHES };
void *psr_pool_scratch(psr_pool *pool, int which, size_t bytes);

/* Runs fn for tasks 0..n-1, each thread with its own arena of `bytes`; returns when all are done. */
int psr_pool_run(psr_pool *pool, psr_task_fn fn, void *context, int32_t n, size_t bytes);

int psr_pool_threads(const psr_pool *pool);

#endif
