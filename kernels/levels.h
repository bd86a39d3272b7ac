// Which of the instruction sets that the kernels are built for this processor has.
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

}  // namespace engine
