/* What this processor has beyond what the compiler may assume. The compiler's own __builtin_cpu_supports links a table of
 * every processor ever made (5 KB); weir asks two questions. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum cpu_wish { CPU_AVX2, CPU_SHA };

static inline bool cpu_has(enum cpu_wish wish)
{
    unsigned a, b, c, d, features, saved, upper;

    if (!__get_cpuid(1, &a, &b, &features, &d) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return false;
    if (wish == CPU_SHA) /* its users shuffle with SSSE3 and blend with SSE4.1 */
        return (features & bit_SSSE3) && (features & bit_SSE4_1) && (b & (1u << 29)); /* CPUID.7.0:EBX.SHA */
    /* The kernel must save the wide registers too: it says so in XCR0, which may be read when OSXSAVE is set. */
    if (!(features & bit_OSXSAVE) || !(features & bit_AVX) || !(b & (1u << 5))) /* CPUID.7.0:EBX.AVX2 */
        return false;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
    return (saved & 6) == 6; /* SSE and AVX state */
}

#endif
#endif
