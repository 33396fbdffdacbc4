/* A plugin of QEMU's: at the program's end a line on stderr with its instructions, the bytes that
 * they load and store, and those that go between a cache and what lies behind it.
 *
 * The cache is CACHE_BYTES large, of WAYS ways, writes back, and forgets what was used least
 * recently. One thread is counted right. The declarations are those of QEMU's documented interface
 * (docs/devel/tcg-plugins); tried with QEMU 7.2. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef PLUGIN_VERSION
#error "-DPLUGIN_VERSION=n: what this QEMU asks for"
#endif

typedef struct plugin_info plugin_info;
typedef struct plugin_block plugin_block;
typedef struct plugin_instruction plugin_instruction;
typedef uint64_t plugin_id;
typedef uint32_t plugin_access;
enum { NO_REGISTERS, READ_AND_WRITE = 3 };

size_t qemu_plugin_tb_n_insns(const plugin_block *block);
plugin_instruction *qemu_plugin_tb_get_insn(const plugin_block *block, size_t i);
unsigned qemu_plugin_mem_size_shift(plugin_access access);
_Bool qemu_plugin_mem_is_store(plugin_access access);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, plugin_block *));
void qemu_plugin_register_vcpu_tb_exec_cb(plugin_block *block, void (*call)(unsigned, void *),
                                          int registers, void *own);
void qemu_plugin_register_vcpu_mem_cb(plugin_instruction *instruction,
                                      void (*call)(unsigned, plugin_access, uint64_t, void *),
                                      int registers, int accesses, void *own);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*call)(plugin_id, void *), void *own);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = PLUGIN_VERSION;

enum { CACHE_BYTES = 512 << 10, WAYS = 8, LINE = 64, SETS = CACHE_BYTES / LINE / WAYS };

typedef struct {
    uint64_t number; /* 1 more than that of the line; 0: nothing */
    _Bool changed;
} cached;

static cached sets[SETS][WAYS]; /* the last used first */
static uint64_t instructions, bytes[2] /* loaded, stored */, fetched, written_back;

static void executed(unsigned cpu, void *own) {
    (void)cpu;
    instructions += (uintptr_t)own;
}

static void touch(uint64_t line, _Bool is_store) {
    cached *set = sets[line % SETS], found = {line + 1, 0};
    int way = 0;
    while (way < WAYS - 1 && set[way].number != found.number) ++way;
    if (set[way].number == found.number) {
        found = set[way];
    } else {
        fetched += LINE;
        written_back += set[way].changed ? LINE : 0;
    }
    found.changed |= is_store;
    for (; way > 0; --way) set[way] = set[way - 1];
    set[0] = found;
}

static void accessed(unsigned cpu, plugin_access access, uint64_t address, void *own) {
    (void)cpu, (void)own;
    const _Bool is_store = qemu_plugin_mem_is_store(access);
    const uint64_t n = UINT64_C(1) << qemu_plugin_mem_size_shift(access);
    const uint64_t first = address / LINE, last = (address + n - 1) / LINE;
    bytes[is_store] += n;
    touch(first, is_store);
    if (last != first) touch(last, is_store);
}

static void translated(plugin_id id, plugin_block *block) {
    (void)id;
    const size_t n = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, NO_REGISTERS, (void *)(uintptr_t)n);
    for (size_t i = 0; i < n; ++i)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, i), accessed,
                                         NO_REGISTERS, READ_AND_WRITE, NULL);
}

static void told(plugin_id id, void *own) {
    (void)id, (void)own;
    fprintf(stderr, "counted %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", instructions,
            bytes[0], bytes[1], fetched + written_back);
}

EXPORT int qemu_plugin_install(plugin_id id, const plugin_info *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, told, NULL);
    return 0;
}
