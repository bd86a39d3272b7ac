// One output element by itself: what a thread of sanitize and gather does on CUDA. It compiles for the processor too, where tests run it.
#pragma once

#include <cmath>

#include "load.h"
#include "sanitize.h"

namespace engine {

ENGINE_INLINE float load_value(int dtype, const void *values, int64_t at) {
    switch (dtype) {
        case ENGINE_FLOAT16: return to_float(static_cast<const Half *>(values)[at]);
        case ENGINE_FLOAT32: return static_cast<const float *>(values)[at];
        case ENGINE_FLOAT64: return to_float(static_cast<const double *>(values)[at]);
        case ENGINE_INT8: return to_float(static_cast<const int8_t *>(values)[at]);
        case ENGINE_INT16: return to_float(static_cast<const int16_t *>(values)[at]);
        case ENGINE_INT32: return to_float(static_cast<const int32_t *>(values)[at]);
        case ENGINE_INT64: return to_float(static_cast<const int64_t *>(values)[at]);
        case ENGINE_UINT8: return to_float(static_cast<const uint8_t *>(values)[at]);
        case ENGINE_UINT16: return to_float(static_cast<const uint16_t *>(values)[at]);
        case ENGINE_UINT32: return to_float(static_cast<const uint32_t *>(values)[at]);
        default: return to_float(static_cast<const uint64_t *>(values)[at]);
    }
}

// The _rn intrinsics keep the compiler from fusing the product and the sum.
ENGINE_INLINE float scale_and_shift(float x, float scale, float offset) {
#ifdef __CUDA_ARCH__
    return __fadd_rn(__fmul_rn(x, scale), offset);
#else
    return x * scale + offset;
#endif
}

// The definition of transforms.py.
ENGINE_INLINE float transform_value(const EngineColumns &columns, int64_t column, float x) {
    if (columns.one_hot[column]) return x == columns.value[column] ? 1.0f : 0.0f;
    if (!is_finite(x)) return columns.fill[column];
    if (columns.absolute[column]) x = fabsf(x);
    if (columns.log1p[column]) x = log1pf(x);
    x = x < columns.low[column] ? columns.low[column] : x;
    x = x > columns.high[column] ? columns.high[column] : x;
    const float y = scale_and_shift(x, columns.scale[column], columns.offset[column]);
    return is_finite(y) ? y : columns.fill[column];
}

// Output element i of sanitize. With direct columns `out` may be `values`: an element is read by the thread that writes it, and before.
ENGINE_INLINE void sanitize_element(const EngineColumns &columns, int dtype, const void *values, int64_t i, float *out) {
    const int64_t object = i / columns.width, column = i % columns.width;
    out[i] = transform_value(columns, column, load_value(dtype, values, object * columns.features + columns.source[column]));
}

}  // namespace engine
