// Lane types: the mathematics is written once for a scalar (CUDA) and for packs as wide as the processor's registers, where every lane
// holds another jet. A lane's result does not depend on its neighbours or on the width. The compiler contracts nothing
// (-ffp-contract=off); in packs of kind Fused the types do: a product that meets a sum becomes one fused multiply-add, the same on every
// path, so that one precision gives the same bits on every x86-64 processor. Without such an instruction (before 2013) the library's
// function is called lane by lane: same bits, slowly.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "common.h"

#if !defined(__CUDACC__) && (defined(__FMA__) || defined(__AVX512F__))
#include <immintrin.h>
#endif

namespace engine {

template <class T> struct scalar_of {
    using type = T;
    static constexpr int lanes = 1;
};

#ifndef __CUDACC__
template <class S, int Bytes, bool Fused = false> struct Lanes;
template <int First, int Second, class S, int Bytes>
ENGINE_INLINE Lanes<S, Bytes, true> fused(const Lanes<S, Bytes, true>& a, const Lanes<S, Bytes, true>& b, const Lanes<S, Bytes, true>& c);

// a b, not yet rounded: a sum takes it with a fused multiply-add, anything else with a multiplication.
template <class T> struct Product {
    T a, b;
    ENGINE_INLINE operator T() const { return {a.v * b.v}; }
    ENGINE_INLINE T operator-() const { return fused<-1, -1>(a, b, T{}); }
    friend ENGINE_INLINE Product operator*(const Product& p, const T& c) { return {T(p), c}; }
    friend ENGINE_INLINE Product operator*(const T& c, const Product& p) { return {c, T(p)}; }
    friend ENGINE_INLINE Product operator*(const Product& p, const Product& q) { return {T(p), T(q)}; }
    friend ENGINE_INLINE T operator+(const Product& p, const T& c) { return fused<1, 1>(p.a, p.b, c); }
    friend ENGINE_INLINE T operator+(const T& c, const Product& p) { return fused<1, 1>(p.a, p.b, c); }
    friend ENGINE_INLINE T operator+(const Product& p, const Product& q) { return fused<1, 1>(p.a, p.b, T(q)); }
    friend ENGINE_INLINE T operator-(const Product& p, const T& c) { return fused<1, -1>(p.a, p.b, c); }
    friend ENGINE_INLINE T operator-(const T& c, const Product& p) { return fused<-1, 1>(p.a, p.b, c); }
    friend ENGINE_INLINE T operator-(const Product& p, const Product& q) { return fused<-1, 1>(q.a, q.b, T(p)); }
};

// A pack of S. A class, since a bare vector type has the alignment of the baseline's registers wherever a wider level uses it.
template <class S, int Bytes, bool Fused> struct alignas(Bytes) Lanes {
    typedef S Raw __attribute__((vector_size(Bytes)));
    typedef std::conditional_t<sizeof(S) == 8, int64_t, int32_t> Integers __attribute__((vector_size(Bytes)));
    using Times = std::conditional_t<Fused, Product<Lanes>, Lanes>;
    Raw v;
    ENGINE_INLINE Lanes operator-() const { return {-v}; }
    ENGINE_INLINE Lanes& operator+=(const Lanes& b) { return v += b.v, *this; }
    ENGINE_INLINE Lanes& operator-=(const Lanes& b) { return v -= b.v, *this; }
    ENGINE_INLINE Lanes& operator+=(const Product<Lanes>& p) { return *this = *this + p; }
    ENGINE_INLINE Lanes& operator-=(const Product<Lanes>& p) { return *this = *this - p; }
    friend ENGINE_INLINE Lanes operator+(const Lanes& a, const Lanes& b) { return {a.v + b.v}; }
    friend ENGINE_INLINE Lanes operator-(const Lanes& a, const Lanes& b) { return {a.v - b.v}; }
    friend ENGINE_INLINE Times operator*(const Lanes& a, const Lanes& b) {
        if constexpr (Fused) return {a, b};
        else return {a.v * b.v};
    }
    friend ENGINE_INLINE Lanes operator/(const Lanes& a, const Lanes& b) { return {a.v / b.v}; }
    friend ENGINE_INLINE auto operator<(const Lanes& a, const Lanes& b) { return a.v < b.v; }
    friend ENGINE_INLINE auto operator>(const Lanes& a, const Lanes& b) { return a.v > b.v; }
    friend ENGINE_INLINE auto operator>=(const Lanes& a, const Lanes& b) { return a.v >= b.v; }
    friend ENGINE_INLINE auto operator==(const Lanes& a, const Lanes& b) { return a.v == b.v; }
};
template <class S, int Bytes, bool Fused> struct scalar_of<Lanes<S, Bytes, Fused>> {
    using type = S;
    static constexpr int lanes = Bytes / sizeof(S);
};

// Not inlined: where it is a call of the library anyway, a thousand copies of it would only take time to compile.
template <class S, int Bytes>
__attribute__((noinline)) Lanes<S, Bytes, true> fused_by_lanes(const Lanes<S, Bytes, true>& a, const Lanes<S, Bytes, true>& b, const Lanes<S, Bytes, true>& c) {
    Lanes<S, Bytes, true> out;
    for (int lane = 0; lane < static_cast<int>(Bytes / sizeof(S)); ++lane) {
        if constexpr (sizeof(S) == 8) out.v[lane] = __builtin_fma(a.v[lane], b.v[lane], c.v[lane]);
        else out.v[lane] = __builtin_fmaf(a.v[lane], b.v[lane], c.v[lane]);
    }
    return out;
}

// (+-) a b (+-) c with one rounding; the signs cost nothing.
#define ENGINE_FUSED(prefix, suffix)                                                                                       \
    if constexpr (First > 0) return {Second > 0 ? prefix##fmadd_##suffix(a.v, b.v, c.v) : prefix##fmsub_##suffix(a.v, b.v, c.v)}; \
    else return {Second > 0 ? prefix##fnmadd_##suffix(a.v, b.v, c.v) : prefix##fnmsub_##suffix(a.v, b.v, c.v)};
template <int First, int Second, class S, int Bytes>
ENGINE_INLINE Lanes<S, Bytes, true> fused(const Lanes<S, Bytes, true>& a, const Lanes<S, Bytes, true>& b, const Lanes<S, Bytes, true>& c) {
    [[maybe_unused]] constexpr bool wide = sizeof(S) == 8;
#ifdef __AVX512F__
    if constexpr (Bytes == 64 && wide) {
        ENGINE_FUSED(_mm512_, pd)
    } else if constexpr (Bytes == 64) {
        ENGINE_FUSED(_mm512_, ps)
    } else
#endif
#ifdef __FMA__
        if constexpr (Bytes == 32 && wide) {
        ENGINE_FUSED(_mm256_, pd)
    } else if constexpr (Bytes == 32) {
        ENGINE_FUSED(_mm256_, ps)
    } else
#endif
        return fused_by_lanes(First > 0 ? a : -a, b, Second > 0 ? c : -c);
}
#undef ENGINE_FUSED
#endif

template <class T> using scalar_t = typename scalar_of<T>::type;
template <class T> using mask_t = decltype(T{} < T{});

template <class T> ENGINE_INLINE T constant(double value) {
    if constexpr (scalar_of<T>::lanes == 1) return T(value);
    else return {typename T::Raw{} + static_cast<scalar_t<T>>(value)};
}
template <class T> ENGINE_INLINE T select(mask_t<T> mask, const T& yes, const T& no) {
    if constexpr (scalar_of<T>::lanes == 1) return mask ? yes : no;
    else return {mask ? yes.v : no.v};
}
template <class T> ENGINE_INLINE T absolute(const T& x) {
    if constexpr (scalar_of<T>::lanes == 1) return x < T{} ? -x : x;
    else return {(typename T::Raw)((typename T::Integers)x.v & (typename T::Integers{} + (sizeof(scalar_t<T>) == 8 ? INT64_MAX : INT32_MAX)))};
}
// True where x is neither infinite nor NaN: only then is the product with zero equal to zero.
template <class T> ENGINE_INLINE mask_t<T> finite(const T& x) { return x * T{} == T{}; }

#ifdef __CUDACC__
ENGINE_INLINE bool any(bool mask) { return mask; }
ENGINE_INLINE void sine_cosine(double x, double& s, double& c) { sincos(x, &s, &c); }
ENGINE_INLINE void sine_cosine(float x, float& s, float& c) { sincosf(x, &s, &c); }
#else

template <class M> ENGINE_INLINE bool any(const M& mask) {
#ifdef __AVX512F__
    if constexpr (sizeof(M) == 64) return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#endif
#ifdef __AVX2__
    if constexpr (sizeof(M) == 32) return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#endif
    uint64_t words[sizeof(M) / 8], sum = 0;
    std::memcpy(words, &mask, sizeof(M));
    for (uint64_t word : words) sum |= word;
    return sum != 0;
}

// One lane of a pack.
template <class T> ENGINE_INLINE void put(T& lanes, int lane, scalar_t<T> value) { reinterpret_cast<scalar_t<T>*>(&lanes)[lane] = value; }
template <class T> ENGINE_INLINE scalar_t<T> get(const T& lanes, int lane) { return reinterpret_cast<const scalar_t<T>*>(&lanes)[lane]; }

// N numbers of each of the first `used` lanes, which begin at N * at[lane]; and back.
template <int N, class T> ENGINE_INLINE void from_lanes(const void* source, const int64_t* at, int used, T (&out)[N]) {
    for (int lane = 0; lane < used; ++lane)
        for (int k = 0; k < N; ++k) put(out[k], lane, static_cast<const scalar_t<T>*>(source)[at[lane] * N + k]);
}
template <int N, class T> ENGINE_INLINE void to_lanes(const T (&values)[N], const int64_t* at, int used, void* target) {
    for (int lane = 0; lane < used; ++lane)
        for (int k = 0; k < N; ++k) static_cast<scalar_t<T>*>(target)[at[lane] * N + k] = get(values[k], lane);
}

// Cephes' sine and cosine (Moshier), for angles up to some thousand radians; on [-pi/4, pi/4] within a unit in the last place.
template <class S, int Bytes, bool Fused>
ENGINE_INLINE void sine_cosine(const Lanes<S, Bytes, Fused>& x, Lanes<S, Bytes, Fused>& s, Lanes<S, Bytes, Fused>& c) {
    using T = Lanes<S, Bytes, Fused>;
    constexpr bool wide = sizeof(S) == 8;
    auto k = [](double value) { return constant<T>(value); };
    const T magic = k(wide ? 6755399441055744.0 : 12582912.0);  // 1.5 * 2^52 or 2^23: adding it rounds to an integer
    const bool small = !any(absolute(x) > k(0.78));              // then the reduction would change no bit
    T r = x, sine, cosine, shifted = x * k(0.63661977236758134308) + magic, turns = shifted - magic;
    if (small) {
    } else if constexpr (wide) {
        r = ((x - turns * k(1.57079625129699707031)) - turns * k(7.54978941586159635336e-8)) - turns * k(5.39030285815811905290e-15);
    } else {
        r = ((x - turns * k(1.5703125)) - turns * k(4.837512969970703125e-4)) - turns * k(7.54978995489188216e-8);
    }
    const T z = r * r;
    if constexpr (wide) {
        sine = ((((k(1.58962301576546568060e-10) * z - k(2.50507477628578072866e-8)) * z + k(2.75573136213857245213e-6)) * z - k(1.98412698295895385996e-4)) * z +
                k(8.33333333332211858878e-3)) * z - k(1.66666666666666307295e-1);
        cosine = ((((k(-1.13585365213876817300e-11) * z + k(2.08757008419747316778e-9)) * z - k(2.75573141792967388112e-7)) * z + k(2.48015872888517045348e-5)) * z -
                  k(1.38888888888730564116e-3)) * z + k(4.16666666666665929218e-2);
    } else {
        sine = (k(-1.9515295891e-4) * z + k(8.3321608736e-3)) * z - k(1.6666654611e-1);
        cosine = (k(2.443315711809948e-5) * z - k(1.388731625493765e-3)) * z + k(4.166664568298827e-2);
    }
    s = r + r * z * sine;
    c = (k(1) - k(0.5) * z) + z * z * cosine;
    if (small) return;
    const auto quadrant = (typename T::Integers)shifted.v;
    const auto odd = (quadrant & 1) != 0, sine_minus = (quadrant & 2) != 0, cosine_minus = ((quadrant + 1) & 2) != 0;
    const T swapped = select<T>(odd, c, s), other = select<T>(odd, s, c);
    s = select<T>(sine_minus, -swapped, swapped);
    c = select<T>(cosine_minus, -other, other);
}

// Angles beyond ten turns are not reduced exactly by this sine: they are brought near zero before, lane by lane.
template <class T> ENGINE_INLINE T near_zero(T angle) {
    using S = scalar_t<T>;
    for (int lane = 0; any(absolute(angle) > constant<T>(64)) && lane < scalar_of<T>::lanes; ++lane) {
        const S value = get(angle, lane);
        if (value > S(64) || value < S(-64)) put(angle, lane, S(__builtin_remainder(value, S(6.283185307179586))));
    }
    return angle;
}
#endif

}  // namespace engine
