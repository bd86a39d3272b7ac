// Stored value -> float32, for each storage type.
#pragma once

#include <cstdint>

#include "log1p.h"

namespace engine {

struct Half {
    uint16_t bits;
};

// IEEE 754 binary16 by integer arithmetic: the same on every processor, also where denormals are flushed to zero.
ENGINE_INLINE float to_float(Half half) {
    const uint32_t shifted = static_cast<uint32_t>(half.bits & 0x7fffu) << 13;
    const uint32_t exponent = shifted & 0x0f800000u;
    const uint32_t normal = shifted + (112u << 23);
    const uint32_t special = shifted + (224u << 23);
    const uint32_t denormal = bits_of(float_of(shifted + (113u << 23)) - float_of(113u << 23));
    const uint32_t magnitude = exponent == 0x0f800000u ? special : (exponent == 0u ? denormal : normal);
    return float_of(magnitude | (static_cast<uint32_t>(half.bits & 0x8000u) << 16));
}

template <typename T>
ENGINE_INLINE float to_float(T value) {
    return static_cast<float>(value);
}

}  // namespace engine
