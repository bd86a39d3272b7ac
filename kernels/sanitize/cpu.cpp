// sanitize on the processor: load (copy or convert), then transform in place while the tile is in the cache.
//
// The parameters are stored once for each element of a block of several objects, so that the transform is one flat loop over the block whatever
// the number of features. A vector in which many elements want their logarithm takes that of all and keeps it for those; where they are few,
// they are collected from the whole block, computed together, and put back before.
#include "sanitize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "levels.h"
#include "load.h"

using engine::bits_of;
using engine::float_of;
using engine::is_finite;

namespace {

constexpr int64_t BLOCK = 512;      // elements of a block: its parameters stay in the first-level cache
constexpr int64_t STRIP = 256;      // logarithms collected and computed together
constexpr int LANES = 16;           // the widest vector
constexpr int MANY = 8;             // logarithms of a vector from which it takes those of all its elements
constexpr int64_t LINE = 64;        // bytes of a cache line
constexpr int64_t TILE = 32 * 1024; // output elements between load and transform: 128 KiB, well inside the second-level cache
constexpr int64_t SCRATCH = 4096;

// The parameters of LANES consecutive elements: one stream of memory, read once a block.
struct alignas(64) Group {
    uint32_t keep[LANES];  // bits of x that stay: all, or all but the sign
    float low[LANES], high[LANES], scale[LANES], offset[LANES], fill[LANES];
};

struct alignas(64) Mask {
    uint32_t lane[LANES];  // all bits for an element that wants its logarithm here, else none
};

// Logarithms that are collected.
struct Apart {
    std::vector<int32_t> at;       // element of the block
    std::vector<uint32_t> keep;    // this and the next: LANES longer than `at`
    std::vector<float> minus_one;  // what the logarithm of 1 + x is at -1, after the clip
};

struct OneHot {
    std::vector<int32_t> at;  // element of the block
    std::vector<float> value;
};

// Memory that is used soon: a cache line of it is asked for with every vector, so that it arrives while the processor computes.
struct Ahead {
    const char *at;
    int64_t lines;  // that follow `at`
};

ENGINE_INLINE void fetch_line(Ahead &ahead) {
    __builtin_prefetch(ahead.at, 0, 2);
    const int64_t more = ahead.lines > 0;
    ahead.at += more * LINE;
    ahead.lines -= more;
}

}  // namespace

struct EnginePlan {
    int64_t features, width, block;  // block: objects of a block
    bool direct;                     // column i is feature i
    std::vector<int32_t> source;
    std::vector<Group> groups;  // of a block, rounded up to whole vectors
    std::vector<Mask> masks;
    std::vector<uint8_t> many;  // 1 where the mask of a vector is not empty
    Apart apart;
    OneHot one_hot;
};

namespace {

void add_element(EnginePlan &plan, const EngineColumns &columns, int64_t column, int32_t at) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const bool one_hot = columns.one_hot[column] != 0;
    Group &group = plan.groups[static_cast<size_t>(at / LANES)];
    const int lane = at % LANES;
    group.keep[lane] = !one_hot && columns.absolute[column] ? 0x7fffffffu : 0xffffffffu;
    group.low[lane] = one_hot ? -infinity : columns.low[column];
    group.high[lane] = one_hot ? infinity : columns.high[column];
    group.scale[lane] = one_hot ? 1.0f : columns.scale[column];
    group.offset[lane] = one_hot ? 0.0f : columns.offset[column];
    group.fill[lane] = one_hot ? nan : columns.fill[column];  // NaN equals nothing: a value that is not finite belongs to no class
    if (!one_hot && columns.log1p[column]) plan.masks[static_cast<size_t>(at / LANES)].lane[lane] = 0xffffffffu;
    if (one_hot) {
        plan.one_hot.at.push_back(at);
        plan.one_hot.value.push_back(columns.value[column]);
    }
}

// The logarithms of vectors with few of them are collected instead.
void divide_logarithms(EnginePlan &plan) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    for (size_t vector = 0; vector < plan.masks.size(); ++vector) {
        uint32_t *mask = plan.masks[vector].lane;
        Group &group = plan.groups[vector];
        const auto logarithms = std::count_if(mask, mask + LANES, [](uint32_t lane) { return lane != 0; });
        plan.many[vector] = logarithms >= MANY;
        for (int lane = 0; lane < LANES && logarithms < MANY; ++lane) {
            if (mask[lane] == 0) continue;
            plan.apart.at.push_back(static_cast<int32_t>(vector) * LANES + lane);
            plan.apart.keep.push_back(std::exchange(group.keep[lane], 0xffffffffu));
            plan.apart.minus_one.push_back(group.low[lane] > -infinity ? group.low[lane] : nan);
            mask[lane] = 0;
        }
    }
    plan.apart.keep.resize(plan.apart.at.size() + LANES);
    plan.apart.minus_one.resize(plan.apart.at.size() + LANES);
}

// The loops over the elements of a vector have no branch and write to no memory but their own, so that they become vector instructions.
template <bool Fused, bool Many>
ENGINE_INLINE void transform_vector(float *data, const Group &group, const Mask &mask) {
    float raw[LANES], x[LANES];
    memcpy(raw, data, sizeof raw);
    for (int i = 0; i < LANES; ++i) x[i] = raw[i] = float_of(bits_of(raw[i]) & group.keep[i]);
    if (Many)
        for (int i = 0; i < LANES; ++i)
            x[i] = float_of((bits_of(engine::log1p_or_nan<Fused>(raw[i])) & mask.lane[i]) | (bits_of(raw[i]) & ~mask.lane[i]));
    for (int i = 0; i < LANES; ++i) {
        const float above = x[i] < group.low[i] ? group.low[i] : x[i];
        const float clipped = above > group.high[i] ? group.high[i] : above;
        const float y = clipped * group.scale[i] + group.offset[i];
        x[i] = is_finite(raw[i]) & is_finite(y) ? y : group.fill[i];
    }
    memcpy(data, x, sizeof x);
}

template <bool Fused>
ENGINE_INLINE void transform_either(float *data, const Group &group, const Mask &mask, bool many) {
    if (many) transform_vector<Fused, true>(data, group, mask);
    else transform_vector<Fused, false>(data, group, mask);
}

// `count` elements of a block in place; the last, which fill no vector, in a vector of their own.
template <bool Fused>
ENGINE_INLINE void transform_elements(const EnginePlan &plan, float *data, int64_t count, Ahead &next) {
    Ahead ahead = next;
    const Group *group = plan.groups.data();
    const Mask *mask = plan.masks.data();
    const uint8_t *many = plan.many.data();
    for (; count >= LANES; count -= LANES, data += LANES, ++group, ++mask, ++many) {
        fetch_line(ahead);
        transform_either<Fused>(data, *group, *mask, *many != 0);
    }
    next = ahead;
    if (count == 0) return;
    alignas(64) float last[LANES] = {};
    std::copy_n(data, count, last);
    transform_either<Fused>(last, *group, *mask, *many != 0);
    std::copy_n(last, count, data);
}

// Whole vectors of collected logarithms: without a remainder, which would run element by element and cost as much as the rest.
template <bool Fused>
ENGINE_INLINE void transform_strip(const uint32_t *ENGINE_RESTRICT keep, const float *ENGINE_RESTRICT minus_one, int64_t vectors,
                                   float *ENGINE_RESTRICT strip, Ahead &next) {
    Ahead ahead = next;
    for (int64_t vector = 0; vector < vectors; ++vector, strip += LANES, keep += LANES, minus_one += LANES) {
        fetch_line(ahead);
        fetch_line(ahead);
        for (int i = 0; i < LANES; ++i) {
            const float y = engine::log1p_or_nan<Fused>(float_of(bits_of(strip[i]) & keep[i]));
            strip[i] = y < -std::numeric_limits<float>::max() ? minus_one[i] : y;
        }
    }
    next = ahead;
}

// A function for every level: fused multiplication and addition is an instruction from x86-64-v3 on.
#define ENGINE_TRANSFORM(target, level, fused)                                                                              \
    target void elements_##level(const EnginePlan &plan, float *data, int64_t count, Ahead &ahead) {                       \
        transform_elements<fused>(plan, data, count, ahead);                                                                \
    }                                                                                                                       \
    target void strip_##level(const uint32_t *keep, const float *minus_one, int64_t vectors, float *strip, Ahead &ahead) {               \
        transform_strip<fused>(keep, minus_one, vectors, strip, ahead);                                                            \
    }
ENGINE_TRANSFORM(, baseline, false)
#if ENGINE_HAS_CLONES
ENGINE_TRANSFORM(__attribute__((target("arch=x86-64-v3"))), v3, true)
ENGINE_TRANSFORM(__attribute__((target("arch=x86-64-v4"))), v4, true)
constexpr decltype(&elements_baseline) elements_of_level[] = {elements_baseline, elements_v3, elements_v4};
constexpr decltype(&strip_baseline) strip_of_level[] = {strip_baseline, strip_v3, strip_v4};
const auto transform_elements_here = elements_of_level[engine::running_level()];
const auto transform_strip_here = strip_of_level[engine::running_level()];
#else
constexpr auto transform_elements_here = elements_baseline;
constexpr auto transform_strip_here = strip_baseline;
#endif

}  // namespace

// The clones below are outside the anonymous namespace because clones need a symbol that the dynamic loader can resolve.
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

ENGINE_CLONES void engine_pick(const float *ENGINE_RESTRICT data, const int32_t *ENGINE_RESTRICT at, int64_t count, float *ENGINE_RESTRICT strip) {
    for (int64_t i = 0; i < count; ++i) strip[i] = data[at[i]];
}

ENGINE_CLONES void engine_put(const float *ENGINE_RESTRICT strip, const int32_t *ENGINE_RESTRICT at, int64_t count, float *ENGINE_RESTRICT data) {
    for (int64_t i = 0; i < count; ++i) data[at[i]] = strip[i];
}

extern "C" {

EnginePlan *engine_plan_create(const EngineColumns *columns) {
    auto plan = new EnginePlan;
    plan->features = columns->features;
    plan->width = columns->width;
    plan->block = std::max<int64_t>(1, BLOCK / std::max<int64_t>(1, columns->width));
    if (plan->block > 16) plan->block -= plan->block % 16;  // whole vectors
    plan->source.assign(columns->source, columns->source + columns->width);
    plan->direct = columns->width == columns->features;
    for (int64_t column = 0; column < columns->width; ++column) plan->direct &= columns->source[column] == column;
    const auto vectors = static_cast<size_t>((plan->block * plan->width + LANES - 1) / LANES);
    plan->groups.resize(vectors);
    plan->masks.resize(vectors);
    plan->many.resize(vectors);
    for (int64_t object = 0; object < plan->block; ++object)
        for (int64_t column = 0; column < columns->width; ++column)
            add_element(*plan, *columns, column, static_cast<int32_t>(object * columns->width + column));
    divide_logarithms(*plan);
    return plan;
}

void engine_plan_free(EnginePlan *plan) { delete plan; }
int64_t engine_plan_width(const EnginePlan *plan) { return plan->width; }
int64_t engine_plan_features(const EnginePlan *plan) { return plan->features; }
int64_t engine_plan_scratch(const EnginePlan *plan) { return plan->direct ? 0 : std::max(SCRATCH, plan->features); }

int64_t engine_item_size(int dtype) {
    constexpr int64_t sizes[] = {2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    return dtype >= 0 && dtype <= ENGINE_UINT64 ? sizes[dtype] : 0;
}

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

// The first `count` collected logarithms of a block.
static void transform_apart(const Apart &apart, int64_t count, float *data, Ahead &ahead) {
    alignas(64) float strip[STRIP];
    for (int64_t first = 0; first < count; first += STRIP) {
        const int64_t here = std::min(STRIP, count - first), vectors = (here + LANES - 1) / LANES;
        engine_pick(data, &apart.at[static_cast<size_t>(first)], here, strip);
        std::fill(strip + here, strip + vectors * LANES, 0.0f);
        transform_strip_here(&apart.keep[static_cast<size_t>(first)], &apart.minus_one[static_cast<size_t>(first)], vectors, strip, ahead);
        engine_put(strip, &apart.at[static_cast<size_t>(first)], here, data);
    }
}

void engine_plan_transform(const EnginePlan *plan, int64_t objects, float *out, const void *next, int64_t next_bytes) {
    // Without anything to fetch it is the line that is in the cache already, which costs nothing.
    Ahead ahead = {static_cast<const char *>(next == nullptr ? out : next), next == nullptr ? 0 : next_bytes / LINE};
    const int64_t classes_each = static_cast<int64_t>(plan->one_hot.at.size()) / plan->block;
    const Apart &apart = plan->apart;
    for (int64_t first = 0; first < objects; first += plan->block, out += plan->block * plan->width) {
        const int64_t count = std::min(plan->block, objects - first);
        const int64_t length = count * plan->width;
        transform_apart(apart, std::lower_bound(apart.at.begin(), apart.at.end(), length) - apart.at.begin(), out, ahead);
        transform_elements_here(*plan, out, length, ahead);
        for (int64_t i = 0; i < count * classes_each; ++i) {
            float &element = out[plan->one_hot.at[i]];
            element = element == plan->one_hot.value[i] ? 1.0f : 0.0f;
        }
    }
}

void engine_sanitize(const EnginePlan *plan, int dtype, const void *values, int64_t objects, float *out) {
    std::vector<float> scratch(static_cast<size_t>(engine_plan_scratch(plan)));
    const char *bytes = static_cast<const char *>(values);
    const int64_t size = plan->features * engine_item_size(dtype), step = std::max<int64_t>(1, TILE / std::max<int64_t>(1, plan->width));
    for (int64_t first = 0; first < objects; first += step) {
        const int64_t count = std::min(step, objects - first);
        engine_plan_load(plan, dtype, bytes + first * size, count, scratch.data(), out + first * plan->width);
        engine_plan_transform(plan, count, out + first * plan->width, nullptr, 0);
    }
}

}  // extern "C"
