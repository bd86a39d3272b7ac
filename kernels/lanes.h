// Lane types: the mathematics is written once for a scalar (CUDA) and for packs as wide as the processor's registers, where every lane
// holds another jet. A lane's result does not depend on its neighbours or on the width, and no operation is contracted
// (-ffp-contract=off): one precision gives the same bits on every x86-64 path.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "common.h"

namespace engine {

template <class T> struct scalar_of {
    using type = T;
    static constexpr int lanes = 1;
};

#ifndef __CUDACC__
// A pack of S. A class, since a bare vector type has the alignment of the baseline's registers wherever a wider level uses it.
template <class S, int Bytes> struct alignas(Bytes) Lanes {
    typedef S Raw __attribute__((vector_size(Bytes)));
    Raw v;
    ENGINE_INLINE Lanes operator-() const { return {-v}; }
    ENGINE_INLINE Lanes& operator+=(const Lanes& b) { return v += b.v, *this; }
    ENGINE_INLINE Lanes& operator-=(const Lanes& b) { return v -= b.v, *this; }
    friend ENGINE_INLINE Lanes operator+(const Lanes& a, const Lanes& b) { return {a.v + b.v}; }
    friend ENGINE_INLINE Lanes operator-(const Lanes& a, const Lanes& b) { return {a.v - b.v}; }
    friend ENGINE_INLINE Lanes operator*(const Lanes& a, const Lanes& b) { return {a.v * b.v}; }
    friend ENGINE_INLINE Lanes operator/(const Lanes& a, const Lanes& b) { return {a.v / b.v}; }
    friend ENGINE_INLINE auto operator<(const Lanes& a, const Lanes& b) { return a.v < b.v; }
    friend ENGINE_INLINE auto operator>(const Lanes& a, const Lanes& b) { return a.v > b.v; }
    friend ENGINE_INLINE auto operator>=(const Lanes& a, const Lanes& b) { return a.v >= b.v; }
    friend ENGINE_INLINE auto operator==(const Lanes& a, const Lanes& b) { return a.v == b.v; }
};
template <class S, int Bytes> struct scalar_of<Lanes<S, Bytes>> {
    using type = S;
    static constexpr int lanes = Bytes / sizeof(S);
};
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
template <class T> ENGINE_INLINE T absolute(const T& x) { return select<T>(x < T{}, -x, x); }
// True where x is neither infinite nor NaN: only then is the product with zero equal to zero.
template <class T> ENGINE_INLINE mask_t<T> finite(const T& x) { return x * T{} == T{}; }

#ifdef __CUDACC__
ENGINE_INLINE bool any(bool mask) { return mask; }
ENGINE_INLINE void sine_cosine(double x, double& s, double& c) { s = sin(x); c = cos(x); }
ENGINE_INLINE void sine_cosine(float x, float& s, float& c) { s = sinf(x); c = cosf(x); }
#else

template <class M> ENGINE_INLINE bool any(const M& mask) {
    uint64_t words[sizeof(M) / 8], sum = 0;
    std::memcpy(words, &mask, sizeof(M));
    for (uint64_t word : words) sum |= word;
    return sum != 0;
}

// Element k of an array for each lane, and back.
template <class T, class P, size_t... I> ENGINE_INLINE T load_each(P pointers, int k, std::index_sequence<I...>) {
    return {typename T::Raw{pointers[I][k]...}};
}
template <class T> ENGINE_INLINE T load_lanes(const scalar_t<T>* const* pointers, int k) {
    return load_each<T>(pointers, k, std::make_index_sequence<scalar_of<T>::lanes>{});
}
template <class T, size_t... I> ENGINE_INLINE void store_each(const T& value, scalar_t<T>* const* pointers, int k, std::index_sequence<I...>) {
    ((pointers[I][k] = value.v[I]), ...);
}
template <class T> ENGINE_INLINE void store_lanes(const T& value, scalar_t<T>* const* pointers, int k) {
    store_each(value, pointers, k, std::make_index_sequence<scalar_of<T>::lanes>{});
}
template <class T, size_t... I> ENGINE_INLINE void add_each(const T& value, scalar_t<T>* const* pointers, int k, std::index_sequence<I...>) {
    ((pointers[I][k] += value.v[I]), ...);
}
template <class T> ENGINE_INLINE void add_lanes(const T& value, scalar_t<T>* const* pointers, int k) {
    add_each(value, pointers, k, std::make_index_sequence<scalar_of<T>::lanes>{});
}

// Cephes' sine and cosine (Moshier), for angles up to some thousand radians; on [-pi/4, pi/4] within a unit in the last place.
template <class S, int Bytes> ENGINE_INLINE void sine_cosine(const Lanes<S, Bytes>& angle, Lanes<S, Bytes>& s, Lanes<S, Bytes>& c) {
    using Raw = typename Lanes<S, Bytes>::Raw;
    constexpr bool wide = sizeof(S) == 8;
    const S magic = wide ? S(6755399441055744.0) : S(12582912.0);  // 1.5 * 2^52 or 2^23: adding it rounds to an integer
    Raw x = angle.v, r = x, sine, cosine;
    const bool small = !any(absolute(angle) > constant<Lanes<S, Bytes>>(0.78));  // then the reduction would change no bit
    Raw shifted = x * S(0.63661977236758134308) + magic, turns = shifted - magic;
    if (small) {
    } else if constexpr (wide) {
        r = ((x - turns * S(1.57079625129699707031)) - turns * S(7.54978941586159635336e-8)) - turns * S(5.39030285815811905290e-15);
    } else {
        r = ((x - turns * S(1.5703125)) - turns * S(4.837512969970703125e-4)) - turns * S(7.54978995489188216e-8);
    }
    Raw z = r * r;
    if constexpr (wide) {
        sine = ((((S(1.58962301576546568060e-10) * z - S(2.50507477628578072866e-8)) * z + S(2.75573136213857245213e-6)) * z -
                 S(1.98412698295895385996e-4)) * z + S(8.33333333332211858878e-3)) * z - S(1.66666666666666307295e-1);
        cosine = ((((S(-1.13585365213876817300e-11) * z + S(2.08757008419747316778e-9)) * z - S(2.75573141792967388112e-7)) * z +
                   S(2.48015872888517045348e-5)) * z - S(1.38888888888730564116e-3)) * z + S(4.16666666666665929218e-2);
    } else {
        sine = (S(-1.9515295891e-4) * z + S(8.3321608736e-3)) * z - S(1.6666654611e-1);
        cosine = (S(2.443315711809948e-5) * z - S(1.388731625493765e-3)) * z + S(4.166664568298827e-2);
    }
    sine = r + r * z * sine;
    cosine = (S(1) - S(0.5) * z) + z * z * cosine;
    if (small) {
        s.v = sine, c.v = cosine;
        return;
    }
    decltype(x < x) quadrant;
    std::memcpy(&quadrant, &shifted, sizeof(quadrant));
    auto odd = (quadrant & 1) != 0, sine_minus = (quadrant & 2) != 0, cosine_minus = ((quadrant + 1) & 2) != 0;
    Raw swapped = odd ? cosine : sine, other = odd ? sine : cosine;
    s.v = sine_minus ? -swapped : swapped;
    c.v = cosine_minus ? -other : other;
}
#endif

}  // namespace engine
