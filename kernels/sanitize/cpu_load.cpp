// The first half of sanitize on the processor: stored values are copied or converted to float32.
#include "load.h"

#include <algorithm>
#include <cstring>

#include "plan.h"

namespace {

constexpr int64_t SCRATCH = 4096;  // floats that wait to be put into columns

}  // namespace

// Outside the anonymous namespace because clones need a symbol that the dynamic loader can resolve.
#define ENGINE_LOAD(name, type)                                                                                            \
    ENGINE_CLONES void engine_load_##name(const void *ENGINE_RESTRICT values, int64_t count, float *ENGINE_RESTRICT out) { \
        const type *ENGINE_RESTRICT typed = static_cast<const type *>(values);                                             \
        for (int64_t i = 0; i < count; ++i) out[i] = engine::to_float(typed[i]);                                           \
    }

ENGINE_LOAD(float16, engine::Half)
ENGINE_LOAD(float64, double)
ENGINE_LOAD(int8, int8_t)
ENGINE_LOAD(int16, int16_t)
ENGINE_LOAD(int32, int32_t)
ENGINE_LOAD(int64, int64_t)
ENGINE_LOAD(uint8, uint8_t)
ENGINE_LOAD(uint16, uint16_t)
ENGINE_LOAD(uint32, uint32_t)
ENGINE_LOAD(uint64, uint64_t)

extern "C" {

int64_t engine_item_size(int dtype) {
    constexpr int64_t sizes[] = {2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    return dtype >= 0 && dtype <= ENGINE_UINT64 ? sizes[dtype] : 0;
}

int64_t engine_plan_scratch(const EnginePlan *plan) { return plan->direct ? 0 : std::max(SCRATCH, plan->features); }

static void load_flat(int dtype, const void *values, int64_t count, float *out) {
    switch (dtype) {
        case ENGINE_FLOAT16: return engine_load_float16(values, count, out);
        case ENGINE_FLOAT32: memcpy(out, values, static_cast<size_t>(count) * sizeof(float)); return;
        case ENGINE_FLOAT64: return engine_load_float64(values, count, out);
        case ENGINE_INT8: return engine_load_int8(values, count, out);
        case ENGINE_INT16: return engine_load_int16(values, count, out);
        case ENGINE_INT32: return engine_load_int32(values, count, out);
        case ENGINE_INT64: return engine_load_int64(values, count, out);
        case ENGINE_UINT8: return engine_load_uint8(values, count, out);
        case ENGINE_UINT16: return engine_load_uint16(values, count, out);
        case ENGINE_UINT32: return engine_load_uint32(values, count, out);
        default: return engine_load_uint64(values, count, out);
    }
}

void engine_plan_load(const EnginePlan *plan, int dtype, const void *values, int64_t objects, float *scratch, float *out) {
    if (objects == 0 || plan->width == 0) return;
    if (plan->direct) return load_flat(dtype, values, objects * plan->features, out);
    const char *bytes = static_cast<const char *>(values);
    const int64_t size = plan->features * engine_item_size(dtype), step = std::max<int64_t>(1, SCRATCH / plan->features);
    for (int64_t first = 0; first < objects; first += step) {
        const int64_t count = std::min(step, objects - first);
        load_flat(dtype, bytes + first * size, count * plan->features, scratch);
        for (int64_t object = 0; object < count; ++object, out += plan->width)
            for (int64_t column = 0; column < plan->width; ++column)
                out[column] = scratch[object * plan->features + plan->source[static_cast<size_t>(column)]];
    }
}

}  // extern "C"
