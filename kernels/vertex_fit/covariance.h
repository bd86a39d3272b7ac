// The covariance of a track in any lane type: variances alone, of which nothing more is stored or computed, or a whole matrix.
#pragma once

#include "algebra.h"

namespace engine {

// Zero at compile time: what it multiplies is not computed.
struct Zero {
    template <class T> ENGINE_INLINE operator T() const { return T{}; }
    template <class T> friend ENGINE_INLINE Zero operator*(const T&, Zero) { return {}; }
    template <class T> friend ENGINE_INLINE Zero operator*(Zero, const T&) { return {}; }
    template <class T> friend ENGINE_INLINE T operator+(const T& a, Zero) { return a; }
    template <class T> friend ENGINE_INLINE T operator-(const T& a, Zero) { return a; }
    friend ENGINE_INLINE Zero operator*(Zero, Zero) { return {}; }
    friend ENGINE_INLINE Zero operator+(Zero, Zero) { return {}; }
    friend ENGINE_INLINE Zero operator-(Zero, Zero) { return {}; }
};

// What is below this part of the numbers that it is a difference of may be rounding alone.
template <class T> constexpr double rounding = sizeof(scalar_t<T>) == 8 ? 4e-15 : 2e-6;
// The variances of the directions and the curvature of what is no track: small, so that nothing overflows however far the vertex is.
constexpr double of_no_track = 1e-18;

// The covariance of a track (d0, z0, phi0, theta, rho): its variances, then the rest of the upper triangle, row by row.
template <class T, class Off> struct Covariance {
    static constexpr bool full = !std::is_same<Off, Zero>::value;
    static constexpr int size = full ? 15 : 5, width = full ? 25 : 5;
    T v11, v22, v33, v44, v55;
    Off v12, v13, v14, v15, v23, v24, v25, v34, v35, v45;
    ENGINE_INLINE const T& operator[](int k) const { return reinterpret_cast<const T*>(this)[k]; }
    ENGINE_INLINE T& operator[](int k) { return reinterpret_cast<T*>(this)[k]; }
    // Entry k where there is no track.
    static ENGINE_INLINE constexpr double no_track(int k) { return k < 2 ? 1 : k < 5 ? of_no_track : 0; }
    // Where every pivot of its elimination is more than rounding. Then it has an inverse that is positive.
    ENGINE_INLINE mask_t<T> positive() const {
        const T zero{};
        if constexpr (!full) {
            return (v11 > zero) & (v22 > zero) & (v33 > zero) & (v44 > zero) & (v55 > zero);
        } else {
            T a[5][5] = {{v11, v12, v13, v14, v15}, {v12, v22, v23, v24, v25}, {v13, v23, v33, v34, v35}, {v14, v24, v34, v44, v45}, {v15, v25, v35, v45, v55}};
            mask_t<T> good = v11 > zero;
            for (int k = 0; k < 4; ++k) {
                const T inverse = constant<T>(1) / a[k][k];
                for (int i = k + 1; i < 5; ++i) {
                    const T part = a[k][i] * inverse, whole = i == k + 1 ? (*this)[i] : zero;
                    for (int j = i; j < 5; ++j) a[i][j] -= part * a[k][j];
                    if (i == k + 1) good = good & (a[i][i] > constant<T>(rounding<T>) * whole);
                }
            }
            return good;
        }
    }
    // Where entry k and its mirror image lie in a row of `width` numbers.
    static ENGINE_INLINE constexpr int upper(int k) {
        constexpr int at[15] = {0, 6, 12, 18, 24, 1, 2, 3, 4, 7, 8, 9, 13, 14, 19};
        return full ? at[k] : k;
    }
    static ENGINE_INLINE constexpr int lower(int k) { return full ? upper(k) % 5 * 5 + upper(k) / 5 : k; }
};
template <class T> using Diagonal = Covariance<T, Zero>;
template <class T> using Full = Covariance<T, T>;

}  // namespace engine
