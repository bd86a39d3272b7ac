// What every native kernel shares: dispatch by processor features, inlining, restricted pointers.
#pragma once

#include <cstddef>  // tells which C library this is

// One binary serves every x86-64 processor: the loader picks the widest clone that the processor's *features* allow (a test of the model's
// name picks SSE2 on processors that it does not know). Functions called from a clone must be inlined into it, or they stay baseline code;
// without clones (the sanitizers' builds) nothing need be, and building takes a fifth of the time.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && !defined(ENGINE_NO_CLONES)
#define ENGINE_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#define ENGINE_HAS_CLONES 1
#else
#define ENGINE_CLONES
#define ENGINE_HAS_CLONES 0
#endif

#if defined(__CUDACC__)
#define ENGINE_INLINE __host__ __device__ __forceinline__
#elif defined(__GNUC__) && !defined(ENGINE_NO_CLONES)
#define ENGINE_INLINE inline __attribute__((always_inline))
#else
#define ENGINE_INLINE inline
#endif

// The same for lambdas: [&](int i) ENGINE_INLINED { ... }.
#if defined(__GNUC__) && !defined(ENGINE_NO_CLONES)
#define ENGINE_INLINED __attribute__((always_inline))
#else
#define ENGINE_INLINED
#endif

#define ENGINE_RESTRICT __restrict__
