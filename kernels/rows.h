// Rows of memory to columns of lanes and back, by shuffles: element k of the rows of all lanes becomes one pack.
#pragma once

#include "lanes.h"

namespace engine {

// The rows of a pack: where they begin, how many elements of each count.
template <class T> struct Rows {
    static constexpr int lanes = scalar_of<T>::lanes;
    int64_t first[lanes];
    int count[lanes];
};

// Half of two packs, alternating: the lower halves (Part 0) or the upper ones (Part 1).
template <int Part, class T, size_t... I> ENGINE_INLINE T interleave(const T& a, const T& b, std::index_sequence<I...>) {
    constexpr int lanes = sizeof...(I);
    return {__builtin_shufflevector(a.v, b.v, (static_cast<int>(I) / 2 + Part * lanes / 2 + static_cast<int>(I) % 2 * lanes)...)};
}
template <class T> ENGINE_INLINE void transpose(T* rows) {
    constexpr int lanes = scalar_of<T>::lanes;
    using All = std::make_index_sequence<lanes>;
    T next[lanes];
#pragma GCC unroll 4
    for (int step = 1; step < lanes; step *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < lanes / 2; ++i) {
            next[2 * i] = interleave<0>(rows[i], rows[i + lanes / 2], All{});
            next[2 * i + 1] = interleave<1>(rows[i], rows[i + lanes / 2], All{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) rows[i] = next[i];
    }
}

template <class T> ENGINE_INLINE T load(const scalar_t<T>* source) {
    T out;
    std::memcpy(&out, source, sizeof(T));
    return out;
}

// out[k] = element k of every row, k < columns, at least `lanes` of them. `total` elements may be read at source: rows that would pass
// this end go through `spare` (columns a lane). What lies behind a row's count is anything.
template <class T> ENGINE_INLINE void load_columns(T* out, int columns, const void* source, int64_t total, const Rows<T>& rows, scalar_t<T>* spare) {
    using S = scalar_t<T>;
    constexpr int lanes = Rows<T>::lanes;
    const S* row[lanes];
    for (int lane = 0; lane < lanes; ++lane) {
        row[lane] = static_cast<const S*>(source) + rows.first[lane];
        if (rows.first[lane] + columns <= total) continue;
        S* copy = spare + int64_t(lane) * columns;
        for (int k = 0; k < columns; ++k) copy[k] = k < rows.count[lane] ? row[lane][k] : S(0);
        row[lane] = copy;
    }
    for (int k = 0; k < columns; k += lanes) {
        const int start = k + lanes <= columns ? k : columns - lanes;  // the last block overlaps the one before
        T block[lanes];
#pragma GCC unroll 16
        for (int lane = 0; lane < lanes; ++lane) block[lane] = load<T>(row[lane] + start);
        transpose(block);
#pragma GCC unroll 16
        for (int lane = 0; lane < lanes; ++lane) out[start + lane] = block[lane];
    }
}

// The way back: writes (or adds) the first `count` elements of every row; `in` has at least `lanes` columns.
template <bool Add, class T> ENGINE_INLINE void store_columns(const T* in, int columns, void* target, const Rows<T>& rows, scalar_t<T>* spare) {
    using S = scalar_t<T>;
    constexpr int lanes = Rows<T>::lanes;
    S* row[lanes];
    for (int lane = 0; lane < lanes; ++lane)
        row[lane] = Add || rows.count[lane] < columns ? spare + int64_t(lane) * columns : static_cast<S*>(target) + rows.first[lane];
    for (int k = 0; k < columns; k += lanes) {
        const int start = k + lanes <= columns ? k : columns - lanes;
        T block[lanes];
#pragma GCC unroll 16
        for (int lane = 0; lane < lanes; ++lane) block[lane] = in[start + lane];
        transpose(block);
#pragma GCC unroll 16
        for (int lane = 0; lane < lanes; ++lane) std::memcpy(row[lane] + start, &block[lane], sizeof(T));
    }
    for (int lane = 0; lane < lanes; ++lane) {  // in the order of the lanes: two of them may add to the same row
        if (!Add && rows.count[lane] == columns) continue;
        S* to = static_cast<S*>(target) + rows.first[lane];
        const S* from = spare + int64_t(lane) * columns;
        for (int k = 0; k < rows.count[lane]; ++k) to[k] = Add ? to[k] + from[k] : from[k];
    }
}

}  // namespace engine
