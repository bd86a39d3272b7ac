// Which of the instruction sets that the kernels are built for this processor has, and how it treats the smallest numbers.
#pragma once

#include "common.h"

namespace engine {

// 0: baseline, 1: x86-64-v3, 2: x86-64-v4.
inline int running_level() {
#if ENGINE_HAS_CLONES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 1;
#endif
    return 0;
}

// While it lives, results too small for a normal number are zero. In float32 the products of small variances are, and every one of them
// would cost a hundred cycles.
struct FlushToZero {
#ifdef __SSE__
    unsigned before = __builtin_ia32_stmxcsr();
    explicit FlushToZero(bool wanted) {
        if (wanted) __builtin_ia32_ldmxcsr(before | 0x8000);
    }
    ~FlushToZero() { __builtin_ia32_ldmxcsr(before); }
    FlushToZero(const FlushToZero&) = delete;
    FlushToZero& operator=(const FlushToZero&) = delete;
#else
    explicit FlushToZero(bool) {}
#endif
};

}  // namespace engine
