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

// 1 + x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2); log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), s = f / (2 + f), with the
// minimax polynomial R of FreeBSD's msun (e_logf.c). `lost` is what the rounding of 1 + x lost (Knuth's exact sum of two numbers): it is divided
// by 1 + x, to first order in what matters. NaN below -1 and for values that are not finite; `at_minus_one` where 1 + x is 0.
// The time is that of a long chain of dependent operations, of which a processor keeps few in flight: every operation less counts.
ENGINE_INLINE float log1p_or_nan(float x, float at_minus_one) {
    const float u = 1.0f + x;
    const float back = u - 1.0f;
    const float lost = (1.0f - (u - back)) + (x - back);  // NaN where x is NaN or infinite
    const uint32_t shifted = bits_of(u) + (0x3f800000u - 0x3f3504f3u);
    const int32_t k = static_cast<int32_t>(shifted >> 23) - 127;
    const float f = float_of((shifted & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    const float inverse = float_of(static_cast<uint32_t>(127 - (k < 127 ? k : 127)) << 23) * (1.0f - f + f * f);
    const float s = f / (2.0f + f);
    const float z = s * s;
    const float w = z * z;
    const float r = z * (0.66666662693f + w * 0.28498786688f) + w * (0.40000972152f + w * 0.24279078841f);
    const float half = 0.5f * f * f;
    const float power = static_cast<float>(k);
    const float result = s * (half + r) + (power * 9.0580006145e-06f + lost * inverse) - half + f + power * 6.9313812256e-01f;
    const uint32_t negative = static_cast<uint32_t>(static_cast<int32_t>(bits_of(u)) >> 31);  // all bits set are a NaN
    return u == 0.0f ? at_minus_one : float_of(bits_of(result) | negative);
}

}  // namespace engine
