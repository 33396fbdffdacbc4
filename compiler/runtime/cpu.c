/* What this processor can do, as far as the system lets programs use it. */
#include "internal.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* Registers whose contents the system saves (XCR0, Intel SDM volume 1, 13.3). */
static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

uint32_t psr_cpu_features(void) {
    const uint32_t avx_state = 0x6, avx512_state = 0xe6;
    const uint32_t v4 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* F DQ CD BW VL */
    uint32_t a, b, c, d, found = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    const uint32_t saved = saved_registers();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if ((saved & avx512_state) == avx512_state && (b & v4) == v4) {
        found |= PSR_CPU_AVX512; /* as x86-64-v4 means it */
        if (c & 1u << 11) found |= PSR_CPU_AVX512VNNI;
    }
    if ((saved & avx_state) == avx_state && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 4)
        found |= PSR_CPU_AVXVNNI;
    return found;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

uint32_t psr_cpu_features(void) {
    const unsigned long asimddp = 1ul << 20, i8mm = 1ul << 13; /* HWCAP_*, HWCAP2_* of Linux */
    uint32_t found = 0;
    if (getauxval(AT_HWCAP) & asimddp) found |= PSR_CPU_DOTPROD;
    if (getauxval(AT_HWCAP2) & i8mm) found |= PSR_CPU_I8MM;
    return found;
}

#else

uint32_t psr_cpu_features(void) { return 0; }

#endif
