// Device form of one output element, shared by sanitize and gather on CUDA.
#pragma once

#include "load.h"
#include "sanitize.h"

namespace engine {

__device__ inline float load_value(int dtype, const void *values, int64_t at) {
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

// The definition of transforms.py; the _rn intrinsics keep the compiler from fusing the product and the sum.
__device__ inline float transform_value(const EngineColumns &columns, int64_t column, float x) {
    if (columns.one_hot[column]) return x == columns.value[column] ? 1.0f : 0.0f;
    if (!is_finite(x)) return columns.fill[column];
    if (columns.absolute[column]) x = fabsf(x);
    if (columns.log1p[column]) x = log1pf(x);
    x = x < columns.low[column] ? columns.low[column] : x;
    x = x > columns.high[column] ? columns.high[column] : x;
    const float y = __fadd_rn(__fmul_rn(x, columns.scale[column]), columns.offset[column]);
    return is_finite(y) ? y : columns.fill[column];
}

}  // namespace engine
