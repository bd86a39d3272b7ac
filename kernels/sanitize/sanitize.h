// C interface of the sanitize kernel. All arithmetic is float32, in the order that transforms.py defines.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// How values are stored. The numbers are those of layout.py.
enum EngineDtype {
    ENGINE_FLOAT16 = 0,
    ENGINE_FLOAT32 = 1,
    ENGINE_FLOAT64 = 2,
    ENGINE_INT8 = 3,
    ENGINE_INT16 = 4,
    ENGINE_INT32 = 5,
    ENGINE_INT64 = 6,
    ENGINE_UINT8 = 7,
    ENGINE_UINT16 = 8,
    ENGINE_UINT32 = 9,
    ENGINE_UINT64 = 10
};

// The transforms of all features, one entry of each array for an output column.
struct EngineColumns {
    int64_t features;         // number of stored features of an object
    int64_t width;            // number of output columns, the length of the arrays
    const int32_t *source;    // feature that the column is made of, 0 <= source < features
    const uint8_t *absolute;  // take |x|
    const uint8_t *log1p;     // then log(1 + x)
    const uint8_t *one_hot;   // the column is 1 where x == value, else 0; the others are not used
    const float *low;         // then clip
    const float *high;
    const float *scale;       // then x * scale + offset
    const float *offset;
    const float *fill;        // what a value that is not finite becomes
    const float *value;
};

struct EnginePlan;  // the columns, arranged for the processor

struct EnginePlan *engine_plan_create(const struct EngineColumns *columns);
void engine_plan_free(struct EnginePlan *plan);
int64_t engine_plan_width(const struct EnginePlan *plan);
int64_t engine_plan_features(const struct EnginePlan *plan);

// Bytes of one stored value, or 0 for an unknown dtype.
int64_t engine_item_size(int dtype);

// Floats of scratch space that engine_plan_load needs.
int64_t engine_plan_scratch(const struct EnginePlan *plan);

// First half: stored values (objects, features) -> float32 (objects, width), each column a copy of its source feature.
void engine_plan_load(const struct EnginePlan *plan, int dtype, const void *values, int64_t objects, float *scratch, float *out);

// Second half: what engine_plan_load wrote is transformed in place. Meanwhile `next_bytes` from `next` on (null: nothing), which the caller will
// read soon, are brought into the second-level cache.
void engine_plan_transform(const struct EnginePlan *plan, int64_t objects, float *out, const void *next, int64_t next_bytes);

// Both halves, tile by tile: values (objects, features) -> out (objects, width).
void engine_sanitize(const struct EnginePlan *plan, int dtype, const void *values, int64_t objects, float *out);

#ifdef ENGINE_HAS_CUDA
// The same on the device: all pointers, also those inside `columns` (passed by value), are device memory. Returns 0 or a cudaError_t.
int engine_sanitize_cuda(struct EngineColumns columns, int dtype, const void *values, int64_t objects, float *out, void *stream);
#endif

#ifdef __cplusplus
}
#endif
