/* Android's loader in small: maps libpocketsr.so of $PSR_LIBRARY as bionic does on a device with
 * pages of 16 KB, and gives psr-bench, which is linked with this file, the library's functions.
 *
 * It knows four types of relocation and the functions of the C library that LIBC names; a library
 * that needs anything else is refused. Linked statically with musl: the sizes of its pthread types
 * are bionic's (compiler/android/bionic_abi.h). */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "pocketsr.h"

enum { PAGE = 16384 };

typedef struct {
    const char *name;
    void *function;
} entry;

#define NAME(f) {#f, (void *)f}
static const entry LIBC[] = {
    NAME(calloc), NAME(free), NAME(getauxval), NAME(malloc), NAME(posix_memalign), NAME(memcmp),
    NAME(memcpy), NAME(memmove), NAME(memset), NAME(strcmp), NAME(strlen), NAME(vsnprintf),
    NAME(pthread_cond_broadcast), NAME(pthread_cond_destroy), NAME(pthread_cond_init),
    NAME(pthread_cond_signal), NAME(pthread_cond_wait), NAME(pthread_create), NAME(pthread_join),
    NAME(pthread_mutex_destroy), NAME(pthread_mutex_init), NAME(pthread_mutex_lock),
    NAME(pthread_mutex_unlock)};

static uint8_t *base;
static const Elf64_Sym *symbols;
static const char *names;
static uint32_t n_symbols;

static void refuse(const char *what, const char *which) {
    fprintf(stderr, "load_library: %s %s\n", what, which);
    exit(1);
}

static uint64_t down(uint64_t address) { return address / PAGE * PAGE; }
static uint64_t up(uint64_t address) { return down(address + PAGE - 1); }

static uint8_t *read_library(const char *path) {
    FILE *stream = path ? fopen(path, "rb") : NULL;
    if (!stream) refuse("cannot read", path ? path : "$PSR_LIBRARY");
    fseek(stream, 0, SEEK_END);
    const size_t n = (size_t)ftell(stream);
    uint8_t *bytes = malloc(n);
    rewind(stream);
    if (fread(bytes, 1, n, stream) != n) refuse("cannot read", path);
    fclose(stream);
    return bytes;
}

static int to_protection(uint32_t flags) {
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
           (flags & PF_X ? PROT_EXEC : 0);
}

/* Copies every segment to its place; each must have its pages of 16 KB for itself. */
static void map_segments(const uint8_t *file) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(file + header->e_phoff);
    uint64_t end = 0;
    for (int i = 0; i < header->e_phnum; ++i)
        if (segment[i].p_type == PT_LOAD) end = up(segment[i].p_vaddr + segment[i].p_memsz);
    base = mmap(NULL, end + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) refuse("cannot map", "the library");
    base = (uint8_t *)up((uint64_t)base);
    end = 0;
    for (int i = 0; i < header->e_phnum; ++i) {
        if (segment[i].p_type != PT_LOAD) continue;
        if (segment[i].p_align < PAGE || (segment[i].p_vaddr - segment[i].p_offset) % PAGE ||
            down(segment[i].p_vaddr) < end)
            refuse("not for pages of 16 KB:", "a segment");
        end = up(segment[i].p_vaddr + segment[i].p_memsz);
        memcpy(base + segment[i].p_vaddr, file + segment[i].p_offset, segment[i].p_filesz);
    }
}

/* Last, as the relocations write: the protection that each segment asks for. */
static void protect_segments(const uint8_t *file) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(file + header->e_phoff);
    for (int i = 0; i < header->e_phnum; ++i) {
        const uint64_t start = down(segment[i].p_vaddr);
        const uint64_t end = up(segment[i].p_vaddr + segment[i].p_memsz);
        const int is_relro = segment[i].p_type == PT_GNU_RELRO;
        if (segment[i].p_type != PT_LOAD && !is_relro) continue;
        const int protection = is_relro ? PROT_READ : to_protection(segment[i].p_flags);
        if (mprotect(base + start, end - start, protection)) refuse("cannot", "protect");
    }
}

static void *find_in_libc(const char *name) {
    for (size_t i = 0; i < sizeof LIBC / sizeof *LIBC; ++i)
        if (strcmp(LIBC[i].name, name) == 0) return LIBC[i].function;
    refuse("the C library has no", name);
    return NULL;
}

static void *find_in_library(const char *name) {
    for (uint32_t i = 1; i < n_symbols; ++i)
        if (symbols[i].st_shndx && strcmp(names + symbols[i].st_name, name) == 0)
            return base + symbols[i].st_value;
    refuse("the library has no", name);
    return NULL;
}

static void relocate(const Elf64_Rela *table, uint64_t bytes) {
    for (const Elf64_Rela *r = table; r < table + bytes / sizeof *r; ++r) {
        uint64_t *place = (uint64_t *)(base + r->r_offset);
        const Elf64_Sym *symbol = &symbols[ELF64_R_SYM(r->r_info)];
        const char *name = names + symbol->st_name;
        switch (ELF64_R_TYPE(r->r_info)) {
            case R_AARCH64_RELATIVE: *place = (uint64_t)base + (uint64_t)r->r_addend; break;
            case R_AARCH64_ABS64:
            case R_AARCH64_GLOB_DAT:
            case R_AARCH64_JUMP_SLOT:
                *place = (uint64_t)(symbol->st_shndx ? find_in_library(name) : find_in_libc(name));
                *place += (uint64_t)r->r_addend;
                break;
            default: refuse("relocation of an unknown type:", name);
        }
    }
}

static void link_library(const uint8_t *file) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(file + header->e_phoff);
    uint64_t found[DT_NUM] = {0};
    while (segment->p_type != PT_DYNAMIC) ++segment;
    const Elf64_Dyn *tag = (const Elf64_Dyn *)(base + segment->p_vaddr);
    for (; tag->d_tag != DT_NULL; ++tag)
        if (tag->d_tag > 0 && tag->d_tag < DT_NUM) found[tag->d_tag] = tag->d_un.d_val;
    if (found[DT_INIT] || found[DT_INIT_ARRAY]) refuse("the library has", "constructors");
    symbols = (const Elf64_Sym *)(base + found[DT_SYMTAB]);
    names = (const char *)(base + found[DT_STRTAB]);
    n_symbols = ((const uint32_t *)(base + found[DT_HASH]))[1];
    relocate((const Elf64_Rela *)(base + found[DT_RELA]), found[DT_RELASZ]);
    relocate((const Elf64_Rela *)(base + found[DT_JMPREL]), found[DT_PLTRELSZ]);
}

__attribute__((constructor)) static void load_library(void) {
    uint8_t *file = read_library(getenv("PSR_LIBRARY"));
    map_segments(file);
    link_library(file);
    protect_segments(file);
    __builtin___clear_cache((char *)base, (char *)base + PAGE);
    free(file);
}

/* What psr-bench calls. */
#define CALL(f, ...) ((__typeof__(&f))find_in_library(#f))(__VA_ARGS__)
const char *psr_isa(void) { return CALL(psr_isa); }
int psr_select_isa(const char *name) { return CALL(psr_select_isa, name); }
int psr_net_open(const uint8_t *blob, size_t n, psr_net **out) {
    return CALL(psr_net_open, blob, n, out);
}
void psr_net_close(psr_net *net) { CALL(psr_net_close, net); }
const char *psr_fault(const uint8_t *blob, size_t n) { return CALL(psr_fault, blob, n); }
int psr_hr_px(const psr_net *net, int lr_px) { return CALL(psr_hr_px, net, lr_px); }
int psr_halo_px(const psr_net *net, int path) { return CALL(psr_halo_px, net, path); }
size_t psr_arena_bytes(const psr_net *net, int path, int h, int w) {
    return CALL(psr_arena_bytes, net, path, h, w);
}
int psr_pool_open(int threads, psr_pool **out) { return CALL(psr_pool_open, threads, out); }
void psr_pool_close(psr_pool *pool) { CALL(psr_pool_close, pool); }
int psr_frame(psr_pool *pool, const psr_net *const *nets, int n_nets, const psr_patch *patches,
              int n_patches, const uint8_t *lr, ptrdiff_t lr_stride, int h, int w, uint8_t *hr,
              ptrdiff_t hr_stride) {
    return CALL(psr_frame, pool, nets, n_nets, patches, n_patches, lr, lr_stride, h, w, hr,
                hr_stride);
}
