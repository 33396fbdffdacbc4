/* A pool of threads: the same function for every task index, an arena for each thread. */
#ifndef PSR_POOL_H
#define PSR_POOL_H

#include "internal.h"

typedef void (*psr_task_fn)(void *context, int32_t task, void *arena);

/* Runs fn for tasks 0..n-1, each thread with its own arena of `bytes`; returns when all are done. */
int psr_pool_run(psr_pool *pool, psr_task_fn fn, void *context, int32_t n, size_t bytes);

int psr_pool_threads(const psr_pool *pool);

#endif
