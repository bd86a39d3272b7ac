// Three-dimensional vectors and symmetric matrices of any lane type. Operators leave products unrounded until they meet a sum (lanes.h).
#pragma once

#include "../lanes.h"

namespace engine {

// Both have constructors, since compilers clear an aggregate as a whole before they set its members; of numbers that are replaced nothing stays.
template <class T> struct Vector {
    T x, y, z;
    ENGINE_INLINE Vector() : x{}, y{}, z{} {}
    ENGINE_INLINE Vector(const T& a, const T& b, const T& c) : x(a), y(b), z(c) {}
    template <class U> ENGINE_INLINE Vector(const Vector<U>& v) : x(v.x), y(v.y), z(v.z) {}
};
template <class A> ENGINE_INLINE Vector<A> vector(const A& x, const A& y, const A& z) { return {x, y, z}; }
template <class A, class B> ENGINE_INLINE auto operator+(const Vector<A>& a, const Vector<B>& b) { return vector(a.x + b.x, a.y + b.y, a.z + b.z); }
template <class A, class B> ENGINE_INLINE auto operator-(const Vector<A>& a, const Vector<B>& b) { return vector(a.x - b.x, a.y - b.y, a.z - b.z); }
template <class T> ENGINE_INLINE auto operator*(const Vector<T>& v, const T& k) { return vector(v.x * k, v.y * k, v.z * k); }
template <class T> ENGINE_INLINE T dot(const Vector<T>& a, const Vector<T>& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
template <class T> ENGINE_INLINE Vector<T> cross(const Vector<T>& a, const Vector<T>& b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
// Components along and across the direction (c, s), and back.
template <class T> ENGINE_INLINE Vector<T> turned(const T& c, const T& s, const Vector<T>& v) { return {c * v.x + s * v.y, c * v.y - s * v.x, v.z}; }
template <class T> ENGINE_INLINE Vector<T> turned_back(const T& c, const T& s, const Vector<T>& v) { return {c * v.x - s * v.y, s * v.x + c * v.y, v.z}; }

template <class T> struct Symmetric {
    T a11, a12, a13, a22, a23, a33;
    ENGINE_INLINE Symmetric() : a11{}, a12{}, a13{}, a22{}, a23{}, a33{} {}
    ENGINE_INLINE Symmetric(const T& b11, const T& b12, const T& b13, const T& b22, const T& b23, const T& b33)
        : a11(b11), a12(b12), a13(b13), a22(b22), a23(b23), a33(b33) {}
    ENGINE_INLINE Vector<T> row1() const { return {a11, a12, a13}; }
    ENGINE_INLINE Vector<T> row2() const { return {a12, a22, a23}; }
    ENGINE_INLINE Vector<T> row3() const { return {a13, a23, a33}; }
};
template <class T> ENGINE_INLINE Vector<T> operator*(const Symmetric<T>& m, const Vector<T>& v) {
    return {dot(m.row1(), v), dot(m.row2(), v), dot(m.row3(), v)};
}
template <class T> ENGINE_INLINE void add(Symmetric<T>& sum, const T& w, const Symmetric<T>& m) {
    sum.a11 += w * m.a11, sum.a12 += w * m.a12, sum.a13 += w * m.a13, sum.a22 += w * m.a22, sum.a23 += w * m.a23, sum.a33 += w * m.a33;
}
template <class T> ENGINE_INLINE void add(Vector<T>& sum, const T& w, const Vector<T>& v) { sum.x += w * v.x, sum.y += w * v.y, sum.z += w * v.z; }
// From components along and across (c, s).
template <class T> ENGINE_INLINE Symmetric<T> matrix_turned_back(const T& c, const T& s, const Symmetric<T>& m) {
    const T ex = m.a11 * c - m.a12 * s, mx = m.a12 * c - m.a22 * s, ey = m.a11 * s + m.a12 * c, my = m.a12 * s + m.a22 * c;
    return {ex * c - mx * s, ex * s + mx * c, m.a13 * c - m.a23 * s, ey * s + my * c, m.a13 * s + m.a23 * c, m.a33};
}
template <class T> ENGINE_INLINE Symmetric<T> scaled(const Symmetric<T>& m, const T& k) {
    return {m.a11 * k, m.a12 * k, m.a13 * k, m.a22 * k, m.a23 * k, m.a33 * k};
}
// m - a b^T, where that is symmetric.
template <class T> ENGINE_INLINE Symmetric<T> less(const Symmetric<T>& m, const Vector<T>& a, const Vector<T>& b) {
    return {m.a11 - a.x * b.x, m.a12 - a.x * b.y, m.a13 - a.x * b.z, m.a22 - a.y * b.y, m.a23 - a.y * b.z, m.a33 - a.z * b.z};
}
template <class T> ENGINE_INLINE T inner(const Symmetric<T>& a, const Symmetric<T>& b) {
    return (a.a11 * b.a11 + a.a22 * b.a22 + a.a33 * b.a33) + constant<T>(2) * T(a.a12 * b.a12 + a.a13 * b.a13 + a.a23 * b.a23);
}
// A M A^T for a matrix A given by its rows; a M a for a symmetric one.
template <class T> ENGINE_INLINE Symmetric<T> congruent(const Vector<T>& r1, const Vector<T>& r2, const Vector<T>& r3, const Symmetric<T>& m) {
    const Vector<T> m1 = m * r1, m2 = m * r2, m3 = m * r3;
    return {dot(r1, m1), dot(r1, m2), dot(r1, m3), dot(r2, m2), dot(r2, m3), dot(r3, m3)};
}
template <class T> ENGINE_INLINE Symmetric<T> sandwich(const Symmetric<T>& a, const Symmetric<T>& m) { return congruent(a.row1(), a.row2(), a.row3(), m); }

template <class T> ENGINE_INLINE mask_t<T> finite(const Vector<T>& v) { return finite(v.x) & finite(v.y) & finite(v.z); }
template <class T> ENGINE_INLINE mask_t<T> finite(const Symmetric<T>& m) { return finite(T(m.a11 + m.a12 + m.a13 + m.a22 + m.a23 + m.a33)); }
template <class T> ENGINE_INLINE Vector<T> keep(mask_t<T> mask, const Vector<T>& yes, const Vector<T>& no = Vector<T>{}) {
    return {select<T>(mask, yes.x, no.x), select<T>(mask, yes.y, no.y), select<T>(mask, yes.z, no.z)};
}
template <class T> ENGINE_INLINE Symmetric<T> keep(mask_t<T> mask, const Symmetric<T>& yes, const Symmetric<T>& no = Symmetric<T>{}) {
    return {select<T>(mask, yes.a11, no.a11), select<T>(mask, yes.a12, no.a12), select<T>(mask, yes.a13, no.a13),
            select<T>(mask, yes.a22, no.a22), select<T>(mask, yes.a23, no.a23), select<T>(mask, yes.a33, no.a33)};
}

// L D L^T factors of a symmetric matrix, eliminated in the order 3, 2, 1; the direction of the jet is 1, its pivot comes last.
template <class T> struct Factors {
    T i3, m1, m2, i2, n, pivot2, pivot1, i1;
    ENGINE_INLINE explicit Factors(const Symmetric<T>& m) {
        i3 = constant<T>(1) / m.a33;
        m1 = m.a13 * i3;
        m2 = m.a23 * i3;
        pivot2 = m.a22 - m.a23 * m2;
        const T a12 = m.a12 - m.a13 * m2;
        i2 = constant<T>(1) / pivot2;
        n = a12 * i2;
        pivot1 = (m.a11 - m.a13 * m1) - a12 * n;
        i1 = constant<T>(1) / pivot1;
    }
    ENGINE_INLINE Vector<T> solve(const Vector<T>& b) const {
        const T b2 = b.y - m2 * b.z, x1 = (b.x - m1 * b.z - n * b2) * i1, x2 = b2 * i2 - n * x1;
        return {x1, x2, b.z * i3 - m1 * x1 - m2 * x2};
    }
    ENGINE_INLINE Symmetric<T> inverse() const {
        const T l31 = m2 * n - m1;  // the third row of L^-1 is (l31, -m2, 1) in the order of elimination
        return {i1, -n * i1, l31 * i1, i2 + n * n * i1, -m2 * i2 - n * l31 * i1, i3 + m2 * m2 * i2 + l31 * l31 * i1};
    }
};

}  // namespace engine
