// The transforms of all columns, arranged for the processor. The parameters are stored once for each element of a block of several objects, so that
// the transform is one flat loop over the block whatever the number of features.
#pragma once

#include <cstdint>
#include <vector>

#include "sanitize.h"

namespace engine {

constexpr int LANES = 16;  // the widest vector

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

}  // namespace engine

struct EnginePlan {
    int64_t features, width, block;  // block: objects of a block
    bool direct;                     // column i is feature i
    std::vector<int32_t> source;
    std::vector<engine::Group> groups;  // of a block, rounded up to whole vectors
    std::vector<engine::Mask> masks;
    std::vector<uint8_t> many;  // 1 where the mask of a vector is not empty
    engine::Apart apart;
    engine::OneHot one_hot;
};
