/* Threads that sleep between frames; tasks are taken from one counter. */
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MAX_THREADS = 64 };

typedef struct {
    void *bytes;
    size_t size;
} memory;

typedef struct {
    psr_pool *pool;
    pthread_t thread;
    memory arena;
} worker;

struct psr_pool {
    pthread_mutex_t frame; /* one psr_frame at a time */
    pthread_mutex_t lock;  /* of what follows */
    pthread_cond_t start, done;
    uint64_t round;
    int busy, closing, threads;
    psr_task_fn fn;
    void *context;
    int32_t n;
    atomic_int_fast32_t next;
    memory scratches[PSR_SCRATCHES];
    worker workers[MAX_THREADS]; /* the first is the caller */
};

static void work(worker *self) {
    psr_pool *pool = self->pool;
    for (;;) {
        const int32_t task = (int32_t)atomic_fetch_add(&pool->next, 1);
        if (task >= pool->n) return;
        pool->fn(pool->context, task, self->arena.bytes);
    }
}

/* Waits for the round after `seen`; returns 0 when the pool closes. */
static int wait_for_round(psr_pool *pool, uint64_t *seen) {
    pthread_mutex_lock(&pool->lock);
    while (pool->round == *seen && !pool->closing) pthread_cond_wait(&pool->start, &pool->lock);
    *seen = pool->round;
    const int open = !pool->closing;
    pthread_mutex_unlock(&pool->lock);
    return open;
}

static void report_done(psr_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

static void *thread_main(void *argument) {
    worker *self = argument;
    uint64_t seen = 0;
    while (wait_for_round(self->pool, &seen)) {
        work(self);
        report_done(self->pool);
    }
    return NULL;
}

static void start_round(psr_pool *pool, psr_task_fn fn, void *context, int32_t n) {
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->context = context;
    pool->n = n;
    atomic_store(&pool->next, 0);
    pool->busy = pool->threads - 1;
    ++pool->round;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_until_done(psr_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

/* At least `size` bytes, what was in them lost. */
static int grow(memory *m, size_t size) {
    if (m->size >= size) return PSR_OK;
    psr_free(m->bytes);
    m->bytes = psr_alloc(size);
    m->size = m->bytes ? size : 0;
    return m->bytes ? PSR_OK : PSR_E_NOMEM;
}

void *psr_pool_scratch(psr_pool *pool, int which, size_t bytes) {
    memory *m = &pool->scratches[which];
    return grow(m, bytes) ? NULL : m->bytes;
}

void psr_pool_hold(psr_pool *pool) { pthread_mutex_lock(&pool->frame); }

void psr_pool_release(psr_pool *pool) { pthread_mutex_unlock(&pool->frame); }

int psr_pool_run(psr_pool *pool, psr_task_fn fn, void *context, int32_t n, size_t bytes) {
    for (int i = 0; i < pool->threads; ++i)
        if (grow(&pool->workers[i].arena, bytes)) return PSR_E_NOMEM;
    start_round(pool, fn, context, n);
    work(&pool->workers[0]);
    wait_until_done(pool);
    return PSR_OK;
}

int psr_pool_threads(const psr_pool *pool) { return pool->threads; }

int psr_pool_open(int threads, psr_pool **out) {
    if (!out) return PSR_E_ARG;
    *out = NULL;
    if (threads < 1 || threads > MAX_THREADS) return PSR_E_ARG;
    psr_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return PSR_E_NOMEM;
    pthread_mutex_init(&pool->frame, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = 1;
    pool->workers[0].pool = pool;
    for (int i = 1; i < threads; ++i) {
        worker *w = &pool->workers[i];
        w->pool = pool;
        if (pthread_create(&w->thread, NULL, thread_main, w) != 0) {
            psr_pool_close(pool);
            return PSR_E_NOMEM;
        }
        ++pool->threads;
    }
    *out = pool;
    return PSR_OK;
}

void psr_pool_close(psr_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = 1;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i < pool->threads; ++i) pthread_join(pool->workers[i].thread, NULL);
    for (int i = 0; i < pool->threads; ++i) psr_free(pool->workers[i].arena.bytes);
    for (int i = 0; i < PSR_SCRATCHES; ++i) psr_free(pool->scratches[i].bytes);
    pthread_cond_destroy(&pool->start);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->frame);
    free(pool);
}
