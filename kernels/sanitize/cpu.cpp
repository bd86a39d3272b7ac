// sanitize on the processor: load (copy or convert), then transform in place while the tile is in the cache.
//
// The parameters are stored once for each element of a block of several objects, so that the transform is one flat loop over the block whatever
// the number of features. Logarithms are few: where their columns lie together they are computed as they are, else their elements are collected,
// computed together, and put back.
#include "sanitize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "load.h"

using engine::bits_of;
using engine::float_of;
using engine::is_finite;

namespace {

constexpr int64_t BLOCK = 512;      // elements of a block: its parameters stay in the first-level cache
constexpr int64_t STRIP = 256;      // logarithms computed together
constexpr int LANES = 16;           // the widest vector
constexpr int64_t LINE = 64;        // bytes of a cache line
constexpr int64_t TILE = 32 * 1024; // output elements between load and transform: 128 KiB, well inside the second-level cache
constexpr int64_t SCRATCH = 4096;
constexpr int64_t LONG_RUN = 32;    // mean length of a run of logarithms from which computing in place is faster

// The parameters of LANES consecutive elements: one stream of memory, read once a block.
struct alignas(64) Affine {
    uint32_t keep[LANES];  // bits of x that stay: all, or all but the sign
    float low[LANES], high[LANES], scale[LANES], offset[LANES], fill[LANES];
};

struct Logarithms {
    std::vector<int32_t> at;       // element of the block
    std::vector<uint32_t> keep;    // this and the next: LANES longer than `at`
    std::vector<float> minus_one;  // what the logarithm of 1 + x is at -1, after the clip
    std::vector<int64_t> runs;     // where in `at` each run of consecutive elements begins, and the end of the last
    bool together = false;
};

// Memory that is used soon: a cache line of it is asked for every few vectors, so that it arrives while the processor computes.
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

struct OneHot {
    std::vector<int32_t> at;
    std::vector<float> value;
};

}  // namespace

struct EnginePlan {
    int64_t features, width, block;  // block: objects of a block
    bool direct;                     // column i is feature i
    std::vector<int32_t> source;
    std::vector<Affine> affine;  // of a block, rounded up to whole vectors
    Logarithms logarithms;
    OneHot one_hot;
};

namespace {

void add_element(EnginePlan &plan, const EngineColumns &columns, int64_t column, int32_t at) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const uint32_t keep = columns.absolute[column] ? 0x7fffffffu : 0xffffffffu;
    const bool one_hot = columns.one_hot[column] != 0, logarithm = !one_hot && columns.log1p[column] != 0;
    Affine &affine = plan.affine[static_cast<size_t>(at / LANES)];
    const int lane = static_cast<int>(at % LANES);
    affine.keep[lane] = one_hot || logarithm ? 0xffffffffu : keep;
    affine.low[lane] = one_hot ? -infinity : columns.low[column];
    affine.high[lane] = one_hot ? infinity : columns.high[column];
    affine.scale[lane] = one_hot ? 1.0f : columns.scale[column];
    affine.offset[lane] = one_hot ? 0.0f : columns.offset[column];
    affine.fill[lane] = one_hot ? nan : columns.fill[column];  // NaN equals nothing: a value that is not finite belongs to no class
    if (logarithm) {
        plan.logarithms.at.push_back(at);
        plan.logarithms.keep.push_back(keep);
        plan.logarithms.minus_one.push_back(columns.low[column] > -infinity ? columns.low[column] : nan);
    }
    if (one_hot) {
        plan.one_hot.at.push_back(at);
        plan.one_hot.value.push_back(columns.value[column]);
    }
}

void find_runs(Logarithms &logs) {
    logs.keep.resize(logs.at.size() + LANES);
    logs.minus_one.resize(logs.at.size() + LANES);
    for (size_t i = 0; i < logs.at.size(); ++i)
        if (i == 0 || logs.at[i] != logs.at[i - 1] + 1) logs.runs.push_back(static_cast<int64_t>(i));
    logs.together = !logs.at.empty() && logs.at.size() >= LONG_RUN * logs.runs.size();
    logs.runs.push_back(static_cast<int64_t>(logs.at.size()));
}

}  // namespace

// The loops below are outside the anonymous namespace because clones need a symbol that the dynamic loader can resolve.
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

// Logarithms of `groups` whole vectors: without a remainder, which would run element by element and cost as much as the rest.
ENGINE_CLONES void engine_transform_logarithms(float *ENGINE_RESTRICT data, const uint32_t *ENGINE_RESTRICT keep,
                                               const float *ENGINE_RESTRICT minus_one, int64_t groups, Ahead *ahead) {
    for (int64_t group = 0; group < groups; ++group, data += LANES, keep += LANES, minus_one += LANES) {
        fetch_line(*ahead);
        fetch_line(*ahead);
        for (int64_t i = 0; i < LANES; ++i) data[i] = engine::log1p_or_nan(float_of(bits_of(data[i]) & keep[i]), minus_one[i]);
    }
}

ENGINE_CLONES void engine_pick(const float *ENGINE_RESTRICT data, const int32_t *ENGINE_RESTRICT at, int64_t count, float *ENGINE_RESTRICT strip) {
    for (int64_t i = 0; i < count; ++i) strip[i] = data[at[i]];
}

ENGINE_CLONES void engine_put(const float *ENGINE_RESTRICT strip, const int32_t *ENGINE_RESTRICT at, int64_t count, float *ENGINE_RESTRICT data) {
    for (int64_t i = 0; i < count; ++i) data[at[i]] = strip[i];
}

ENGINE_CLONES void engine_transform_affine(float *ENGINE_RESTRICT data, const Affine *ENGINE_RESTRICT affine, int64_t groups,
                                           Ahead *ahead) {
    for (int64_t group = 0; group < groups; ++group, ++affine, data += LANES) {
        fetch_line(*ahead);
        for (int64_t i = 0; i < LANES; ++i) {
            const float x = float_of(bits_of(data[i]) & affine->keep[i]);
            const float above = x < affine->low[i] ? affine->low[i] : x;
            const float clipped = above > affine->high[i] ? affine->high[i] : above;
            const float y = clipped * affine->scale[i] + affine->offset[i];
            data[i] = is_finite(x) & is_finite(y) ? y : affine->fill[i];
        }
    }
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
    plan->affine.resize(static_cast<size_t>((plan->block * plan->width + LANES - 1) / LANES));
    for (int64_t object = 0; object < plan->block; ++object)
        for (int64_t column = 0; column < columns->width; ++column)
            add_element(*plan, *columns, column, static_cast<int32_t>(object * columns->width + column));
    find_runs(plan->logarithms);
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

// Logarithms [first, last) of a block, at most STRIP, collected from where they are.
static void transform_strip(const Logarithms &logs, int64_t first, int64_t last, float *out, Ahead &ahead) {
    alignas(64) float strip[STRIP];
    const int64_t count = last - first, groups = (count + LANES - 1) / LANES;
    engine_pick(out, &logs.at[first], count, strip);
    std::fill(strip + count, strip + groups * LANES, 0.0f);
    engine_transform_logarithms(strip, &logs.keep[first], &logs.minus_one[first], groups, &ahead);
    engine_put(strip, &logs.at[first], count, out);
}

// Logarithms [first, last) of consecutive elements: whole vectors in place, the rest as a strip.
static void transform_run(const Logarithms &logs, int64_t first, int64_t last, float *out, Ahead &ahead) {
    const int64_t groups = (last - first) / LANES, rest = first + groups * LANES;
    engine_transform_logarithms(out + logs.at[first], &logs.keep[first], &logs.minus_one[first], groups, &ahead);
    if (rest < last) transform_strip(logs, rest, last, out, ahead);
}

// The first `count` logarithms of a block.
static void transform_logarithms(const Logarithms &logs, int64_t count, float *out, Ahead &ahead) {
    if (logs.together)
        for (size_t run = 0; run + 1 < logs.runs.size() && logs.runs[run] < count; ++run)
            transform_run(logs, logs.runs[run], std::min(logs.runs[run + 1], count), out, ahead);
    else
        for (int64_t first = 0; first < count; first += STRIP) transform_strip(logs, first, std::min(first + STRIP, count), out, ahead);
}

// The first `count` elements of a block: whole vectors in place, the rest in a vector of its own.
static void transform_affine(const std::vector<Affine> &affine, int64_t count, float *out, Ahead &ahead) {
    const int64_t groups = count / LANES, rest = count % LANES;
    engine_transform_affine(out, affine.data(), groups, &ahead);
    if (rest == 0) return;
    alignas(64) float last[LANES] = {};
    std::copy_n(out + groups * LANES, rest, last);
    engine_transform_affine(last, affine.data() + groups, 1, &ahead);
    std::copy_n(last, rest, out + groups * LANES);
}

void engine_plan_transform(const EnginePlan *plan, int64_t objects, float *out, const void *next, int64_t next_bytes) {
    // Without anything to fetch it is the line that is in the cache already, which costs nothing.
    Ahead ahead = {static_cast<const char *>(next == nullptr ? out : next), next == nullptr ? 0 : next_bytes / LINE};
    const Logarithms &logs = plan->logarithms;
    const int64_t logs_each = static_cast<int64_t>(logs.at.size()) / plan->block;
    const int64_t classes_each = static_cast<int64_t>(plan->one_hot.at.size()) / plan->block;
    for (int64_t first = 0; first < objects; first += plan->block, out += plan->block * plan->width) {
        const int64_t count = std::min(plan->block, objects - first);
        transform_logarithms(logs, count * logs_each, out, ahead);
        transform_affine(plan->affine, count * plan->width, out, ahead);
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
