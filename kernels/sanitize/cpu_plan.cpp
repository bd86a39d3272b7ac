// Arranges the transforms of all columns for the processor.
#include <algorithm>
#include <limits>
#include <utility>

#include "plan.h"

using engine::Group;
using engine::LANES;

namespace {

constexpr int64_t BLOCK = 512;  // elements of a block: its parameters stay in the first-level cache
constexpr int MANY = 8;         // logarithms of a vector from which it takes those of all its elements

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

}  // namespace

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

}  // extern "C"
