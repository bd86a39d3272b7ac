// Natural logarithm of 1 + x in float32 without branches, so that compilers turn a loop over it into vector code.
#pragma once

#include <cstdint>
#include <cstring>

#include "../common.h"

namespace engine {

ENGINE_INLINE uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

ENGINE_INLINE float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

ENGINE_INLINE bool is_finite(float value) { return (bits_of(value) & 0x7f800000u) != 0x7f800000u; }

// a * b + c, rounded once (where the processor does that in one instruction) or twice.
template <bool Fused>
ENGINE_INLINE float multiply_add(float a, float b, float c) {
    if constexpr (Fused) return __builtin_fmaf(a, b, c);
    else return a * b + c;
}

// 1 + x = 2^k (1 + f) with 1 + f between 3/4 and 3/2: there f = x / 2^k + (1 / 2^k - 1) is exact, whatever the rounding of 1 + x lost.
// log(1 + f) = f - f^2/2 + f^3 P(f), P fitted for the smallest largest relative error (6e-9). Minus infinity at -1; NaN below, and for
// values that are not finite. Within 0.96 units in the last place. The time is that of the operations: there is neither a division nor a table.
template <bool Fused>
ENGINE_INLINE float log1p_or_nan(float x) {
    const float u = 1.0f + x;
    const uint32_t power = (bits_of(u) - 0x3f400000u) & 0xff800000u;  // k, where a float has its exponent
    const float f = float_of(bits_of(x) - power) + multiply_add<Fused>(0.5f, float_of(0x40000000u - power), -1.0f);
    const float z = f * f;
    float even = multiply_add<Fused>(z, 0x1.acf4bap-4f, 0x1.28807ap-3f), odd = multiply_add<Fused>(z, -0x1.71e354p-5f, -0x1.0d98f2p-3f);
    even = multiply_add<Fused>(z, even, 0x1.99699ep-3f), odd = multiply_add<Fused>(z, odd, -0x1.54ed96p-3f);
    even = multiply_add<Fused>(z, even, 0x1.5555a4p-2f), odd = multiply_add<Fused>(z, odd, -0x1.00004ap-2f);
    const float k = static_cast<float>(static_cast<int32_t>(power));  // 2^23 k, with a logarithm of 2 in two parts
    const float early = multiply_add<Fused>(-0.5f, z, k * 0x1.7f7d1cp-43f);
    const float late = multiply_add<Fused>(z * f, multiply_add<Fused>(f, odd, even), early);
    const float result = multiply_add<Fused>(k, 0x1.62e4p-24f, f + late);
    const float otherwise = u == 0.0f ? float_of(0xff800000u) : float_of(0x7fc00000u);
    return bits_of(u) - 1u < 0x7f800000u - 1u ? result : otherwise;
}

}  // namespace engine
