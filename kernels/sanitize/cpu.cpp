// sanitize on the processor: load (copy or convert), then transform in place while the tile is in the cache.
//
// A vector in which many elements want their logarithm takes that of all and keeps it for those; where they are few, they are collected from the
// whole block, computed together, and put back before.
#include <algorithm>
#include <limits>
#include <vector>

#include "levels.h"
#include "log1p.h"
#include "plan.h"

using engine::bits_of;
using engine::float_of;
using engine::Group;
using engine::is_finite;
using engine::LANES;
using engine::Mask;

namespace {

constexpr int64_t STRIP = 256;      // logarithms collected and computed together
constexpr int64_t LINE = 64;        // bytes of a cache line
constexpr int64_t TILE = 32 * 1024; // output elements between load and transform: 128 KiB, well inside the second-level cache

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

// Outside the anonymous namespace because clones need a symbol that the dynamic loader can resolve.
ENGINE_CLONES void engine_pick(const float *ENGINE_RESTRICT data, const int32_t *ENGINE_RESTRICT at, int64_t count, float *ENGINE_RESTRICT strip) {
    for (int64_t i = 0; i < count; ++i) strip[i] = data[at[i]];
}

ENGINE_CLONES void engine_put(const float *ENGINE_RESTRICT strip, const int32_t *ENGINE_RESTRICT at, int64_t count, float *ENGINE_RESTRICT data) {
    for (int64_t i = 0; i < count; ++i) data[at[i]] = strip[i];
}

extern "C" {

// The first `count` collected logarithms of a block.
static void transform_apart(const engine::Apart &apart, int64_t count, float *data, Ahead &ahead) {
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
    const engine::Apart &apart = plan->apart;
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
