// Where the weights alone are learnt: while the tracks of a solution are at hand, the fit stores how its vertex and chi2 answer to each
// weight; the gradient is then a sum of four products, and no track is read or linearised again.
#pragma once

#include "tile.h"

namespace engine {

// Derivatives of x, y, z and chi2 with respect to the weight of each track, laid out as the momenta.
template <class T, class C> ENGINE_INLINE void store_response(Tile<T, C>& tile, const Vector<T>& v, mask_t<T> sound, scalar_t<T>* response) {
    Symmetric<T> exact = tile.prior.given ? tile.prior.information : Symmetric<T>{};
    for (int from = 0; from < tile.longest; from += tile.block) {
        Aim<T> aims[tile.block];
        const int to = tile.longest < from + tile.block ? tile.longest : from + tile.block;
        for (int i = from; i < to; ++i) aims[i - from] = Aim<T>(tile.q(i), v, tile.momentum(i));
        for (int i = from; i < to; ++i) {
            auto f = linearise<false>(aims[i - from], tile.q(i), tile.covariance(i), v, tile.momentum(i), tile.frame.t);
            tile.pulls[i] = respond_weights(f, tile.covariance(i), tile.weight(i), exact);
        }
    }
    const Factors<T> factors(exact);
    for (int i = 0; i < tile.longest; ++i) {
        Pull<T>& pull = tile.pulls[i];
        pull.force = tile.frame.vector_out(factors.solve(pull.force));
        // One track that is not finite silences the whole problem.
        sound = sound & ((finite_vector(pull.force) & finite(pull.chi2)) | (tile.angles[i].valid == T{}));
    }
    for (int i = 0; i < tile.longest; ++i) {
        const Pull<T>& pull = tile.pulls[i];
        const mask_t<T> good = sound & tile.valid(i);
        T* column = tile.columns + i * 4;
        column[0] = select<T>(good, pull.force.x, T{}), column[1] = select<T>(good, pull.force.y, T{});
        column[2] = select<T>(good, pull.force.z, T{}), column[3] = select<T>(good, pull.chi2, T{});
    }
    tile.template store_each<false>(response, tile.first_weight, 4);
}

// The sums of neighbours: a0 + a1, a2 + a3, ..., b0 + b1, ...
template <class T, size_t... I> ENGINE_INLINE T pairs(const T& a, const T& b, std::index_sequence<I...>) {
    return T{__builtin_shufflevector(a.v, b.v, static_cast<int>(2 * I)...)} + T{__builtin_shufflevector(a.v, b.v, static_cast<int>(2 * I + 1)...)};
}

// The gradient of the weights of one problem. A cotangent that is not finite counts as zero; a gradient that is not finite silences the
// whole problem.
template <class T> ENGINE_INLINE void weights_gradient(const scalar_t<T>* response, const scalar_t<T>* vertex, scalar_t<T> chi2, scalar_t<T>* out, int64_t tracks) {
    using S = scalar_t<T>;
    constexpr int lanes = scalar_of<T>::lanes;
    using All = std::make_index_sequence<lanes>;
    const S zero = 0, none[3] = {};
    if (!vertex || !((vertex[0] + vertex[1] + vertex[2]) * zero == zero)) vertex = none;
    if (!(chi2 * zero == zero)) chi2 = zero;
    const S cotangent[4] = {vertex[0], vertex[1], vertex[2], chi2};
    S repeated[4 * lanes];
    for (int k = 0; k < 4 * lanes; ++k) repeated[k] = cotangent[k % 4];
    mask_t<T> bad = T{} > T{};
    bool fine = true;
    for (int64_t from = 0; lanes <= tracks && from < tracks; from += lanes) {
        const int64_t i = from + lanes <= tracks ? from : tracks - lanes;  // the last pack overlaps the one before
        T part[4];
        for (int k = 0; k < 4; ++k) part[k] = load<T>(response + 4 * i + k * lanes) * load<T>(repeated + k * lanes);
        const T sum = pairs(pairs(part[0], part[1], All{}), pairs(part[2], part[3], All{}), All{});
        std::memcpy(out + i, &sum, sizeof(T));
        bad = bad | ~finite(sum);
    }
    for (int64_t i = 0; tracks < lanes && i < tracks; ++i) {
        const S* r = response + 4 * i;
        out[i] = (r[0] * vertex[0] + r[1] * vertex[1]) + (r[2] * vertex[2] + r[3] * chi2);
        fine = fine && out[i] * zero == zero;
    }
    if (fine && !any(bad)) return;
    for (int64_t i = 0; i < tracks; ++i) out[i] = zero;
}

// Of the problems from first to last; the cotangents of vertex and chi2 may be null. Packs of half the registers: most jets have fewer
// tracks than a whole one has lanes. `Bytes` is in the name, so that no two levels share this function.
template <class S, int Bytes>
void weights_backward(const EngineVertexInputs& in, const void* response, const void* vertex, const void* chi2, void* weights, int64_t first, int64_t last) {
    using T = Lanes<S, (Bytes > 16 ? Bytes / 2 : Bytes)>;
    for (int64_t problem = first; problem < last; ++problem) {
        const int64_t jet = problem / in.vertices, start = in.offsets ? in.offsets[jet] : jet * in.padded;
        const int64_t tracks = in.offsets ? in.offsets[jet + 1] - start : in.padded;
        const int64_t at = start * in.jet_stride + problem % in.vertices * in.vertex_stride;
        const S* point = vertex ? static_cast<const S*>(vertex) + problem * 3 : nullptr;
        const S sum = chi2 ? static_cast<const S*>(chi2)[problem] : S(0);
        weights_gradient<T>(static_cast<const S*>(response) + at * 4, point, sum, static_cast<S*>(weights) + at, tracks);
    }
}

}  // namespace engine
