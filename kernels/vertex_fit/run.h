// The fit and its gradients for a range of problems, tile by tile, with the instructions of the translation unit that includes this.
#pragma once

#include "kinds.h"
#include "weights.h"

namespace engine {

template <class T, class C, bool Ndive>
void forward(const EngineVertexInputs& in, const EngineVertexOutputs& out, int64_t first, int64_t last, void* memory, int64_t most) {
    Tile<T, C> tile(in, memory, most);
    tile.targets[0] = {out.momenta, 3};
    tile.targets[1] = {out.response, 4};
    const Settings settings{in.tolerance, in.max_iterations, in.sandwich != 0};
    const T zero{};
    for (int64_t begin = first; begin < last; begin += tile.lanes) {
        tile.read(begin, last);
        Fit<T> result = fit<Ndive, T>(tile, tile.longest, tile.seed, tile.frame.t, tile.heaviest, tile.prior, settings);
        const Vector<T> point = tile.frame.point_out(result.vertex);
        const Symmetric<T> spread = tile.frame.matrix_out(result.covariance);
        const mask_t<T> sound = finite_vector(point) & finite_matrix(spread) & finite(result.chi2);
        const mask_t<T> solved = sound & (result.status < constant<T>(singular));
        tile.store_points(keep<T>(solved, point, tile.frame.point_out(tile.seed)), out.vertex);
        tile.store_matrices(keep<T>(solved, spread, Symmetric<T>{}), out.covariance);
        const T sum = select<T>(solved, result.chi2, zero), status = select<T>(sound, result.status, constant<T>(singular));
        for (int lane = 0; lane < tile.used; ++lane) {
            static_cast<scalar_t<T>*>(out.chi2)[tile.problem[lane]] = get(sum, lane);
            out.status[tile.problem[lane]] = static_cast<int32_t>(get(status, lane));
        }
        for (int i = 0; i < tile.longest; ++i) {
            const Momentum<T>& p = tile.momentum(i);
            const T phi = tile.angles[i].phi + p.phi, theta = tile.angles[i].theta + p.theta, rho = tile.q(i).rho + p.rho;
            const mask_t<T> good = tile.valid(i) & finite(phi) & finite(theta) & finite(rho);
            T* column = tile.columns + i * 3;
            column[0] = select<T>(good, phi, zero), column[1] = select<T>(good, theta, zero), column[2] = select<T>(good, rho, zero);
        }
        tile.template store_each<false>(out.momenta, tile.first_weight, 3);
        if (Ndive || !out.response) continue;
        store_response(tile, result.vertex, solved, static_cast<scalar_t<T>*>(out.response));
    }
}

// The momenta of the solution, counted from the measured ones, into the slots.
template <class T, class C> ENGINE_INLINE void load_momenta(Tile<T, C>& tile) {
    tile.load_each(tile.momenta, tile.first_weight, 3);
    for (int i = 0; i < tile.longest; ++i) {
        const T* p = tile.columns + i * 3;
        const mask_t<T> good = tile.valid(i);
        tile.set_momentum(i, {select<T>(good, p[0] - tile.angles[i].phi, T{}), select<T>(good, p[1] - tile.angles[i].theta, T{}), select<T>(good, p[2] - tile.q(i).rho, T{})});
    }
}

// The cotangents of a tile, in its frame; gamma_m holds that of the covariance itself until differentiate_covariance. Those of the momenta
// are left in the columns.
template <class T, class C> ENGINE_INLINE Cotangents<T> load_cotangents(Tile<T, C>& tile, const EngineVertexCotangents& given) {
    Cotangents<T> ct;
    ct.vertex = tile.frame.covector_in(tile.load_points(given.vertex));
    for (int lane = 0; given.chi2 && lane < tile.used; ++lane) put(ct.chi2, lane, static_cast<const scalar_t<T>*>(given.chi2)[tile.problem[lane]]);
    ct.chi2 = select<T>(finite(ct.chi2), ct.chi2, T{});
    ct.covariance = given.covariance != nullptr;
    if (ct.covariance) ct.gamma_m = tile.frame.matrix_in(tile.load_matrices(given.covariance));
    if (given.momenta) tile.load_each(given.momenta, tile.first_weight, 3);
    return ct;
}
template <class T, class C> ENGINE_INLINE Momentum<T> momentum_cotangent(const Tile<T, C>& tile, int i, bool given) {
    if (!given) return {T{}, T{}, T{}};
    const T* p = tile.columns + i * 3;
    return {select<T>(tile.valid(i), p[0], T{}), select<T>(tile.valid(i), p[1], T{}), select<T>(tile.valid(i), p[2], T{})};
}

// The gradient with respect to the covariance of track i, the upper triangle in the order of `Full`.
template <class T, class C> ENGINE_INLINE void covariance_gradient(T* v, const Gradient<T>& g, const Response<T>& r, bool with_covariance) {
    const T one = constant<T>(1), zero{}, n[5][2] = {{one, zero}, {zero, one}, {-r.k11, -r.k21}, {zero, -r.k22}, {-r.k13, -r.k23}};
    for (int a = 0, k = 0; a < 5; ++a) {
        for (int b = a; b < (C::size == 5 ? a + 1 : 5); ++b, ++k) {
            v[k] = constant<T>(-0.5) * (g.u[a] * g.l[b] + g.u[b] * g.l[a]);
            if (!with_covariance) continue;
            v[k] += r.omega11 * n[a][0] * n[b][0] + r.omega12 * (n[a][0] * n[b][1] + n[a][1] * n[b][0]) + r.omega22 * n[a][1] * n[b][1];
        }
    }
}

// Second pass for the gradients of the measurements: first looks whether all of a problem is finite, then adds.
template <class T, class C>
ENGINE_INLINE mask_t<T> measurements(Tile<T, C>& tile, const Vector<T>& lambda, const Cotangents<T>& ct, mask_t<T> sound, const EngineVertexGradients& out) {
    for (int i = 0; i < tile.longest; ++i)
        sound = sound & (finite(probe(adjoint(tile.responses[i], lambda, ct), tile.responses[i], ct.covariance)) | (tile.angles[i].valid == T{}));
    for (int pass = 0; pass < 2; ++pass) {
        if (!(pass ? out.covariance : out.tracks)) continue;
        const int each = pass ? tile.width : 5;
        for (int i = 0; i < tile.longest; ++i) {
            const Gradient<T> g = adjoint(tile.responses[i], lambda, ct);
            const mask_t<T> good = sound & tile.valid(i);
            T v[C::size], *column = tile.columns + i * each;
            if (pass) covariance_gradient<T, C>(v, g, tile.responses[i], ct.covariance);
            for (int k = 0; k < (pass ? C::size : 5); ++k) {
                const T value = select<T>(good, pass ? v[k] : g.q[k], T{});
                if (!pass || each == 5) column[k] = value;
                else column[upper[k]] = column[lower[k]] = value;
            }
        }
        tile.template store_each<true>(pass ? out.covariance : out.tracks, tile.first_track, each);
    }
    return sound;
}

template <class T, class C, bool Ndive>
void backward(const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& given, const EngineVertexGradients& out,
              int64_t first, int64_t last, void* memory, int64_t most) {
    Tile<T, C> tile(in, memory, most);
    const T zero{};
    tile.momenta = solution.momenta;
    tile.targets[0] = {out.weights, 1};
    const bool whole = out.tracks || out.covariance;
    for (int64_t begin = first; begin < last; begin += tile.lanes) {
        tile.read(begin, last);
        load_momenta(tile);
        const Vector<T> v = tile.frame.point_in(tile.load_points(solution.vertex));
        T solved{};
        for (int lane = 0; lane < tile.used; ++lane) put(solved, lane, solution.status[tile.problem[lane]] < singular);
        Cotangents<T> ct = load_cotangents(tile, given);
        Symmetric<T> exact = tile.prior.given ? tile.prior.information : Symmetric<T>{};
        if (ct.covariance) {
            Symmetric<T> m = exact, spread = exact;
            for (int i = 0; i < tile.longest; ++i) {
                auto f = linearise<false>(tile.q(i), tile.covariance(i), v, tile.momentum(i), tile.frame.t);
                const Symmetric<T> part = Weighed<T>(f).information(f);
                accumulate(m, tile.weight(i), part);
                accumulate(spread, T(tile.weight(i) * tile.weight(i)), part);
            }
            differentiate_covariance(ct, m, spread, in.sandwich != 0);
        }
        Vector<T> rhs = ct.vertex;
        for (int from = 0; from < tile.longest; from += tile.block) {
            Aim<T> aims[tile.block];
            const int to = tile.longest < from + tile.block ? tile.longest : from + tile.block;
            for (int i = from; i < to; ++i) aims[i - from] = Aim<T>(tile.q(i), v, tile.momentum(i));
            for (int i = from; i < to; ++i) {
                auto f = linearise<false>(aims[i - from], tile.q(i), tile.covariance(i), v, tile.momentum(i), tile.frame.t);
                tile.fetch_in_pass(0, i), tile.fetch_in_pass(1, i);
                Response<T> r;
                const Momentum<T> ct_p = momentum_cotangent(tile, i, given.momenta != nullptr);
                tile.pulls[i] = respond<Ndive>(r, f, tile.covariance(i), tile.weight(i), ct_p, ct, exact, rhs);
                if (whole) tile.responses[i] = r;
            }
        }
        const Vector<T> lambda = Factors<T>(exact).solve(rhs);
        mask_t<T> sound = (solved > zero) & finite_vector(lambda) & finite_matrix(ct.gamma_m) & finite_matrix(ct.gamma_s);
        for (int i = 0; i < tile.longest; ++i)  // one track that is not finite silences the whole problem
            sound = sound & (finite(tile.pulls[i].gradient(lambda, ct.chi2)) | (tile.angles[i].valid == zero));
        if (whole) sound = measurements(tile, lambda, ct, sound, out);
        if (out.weights) {
            for (int i = 0; i < tile.longest; ++i)
                tile.columns[i] = select<T>(sound & tile.valid(i), tile.pulls[i].gradient(lambda, ct.chi2), zero);
            tile.template store_each<false>(out.weights, tile.first_weight, 1);
        }
        if (!tile.prior.given) continue;
        Vector<T> position;
        Symmetric<T> information;
        prior_gradient(tile.frame, tile.prior, v, lambda, ct, position, information);
        sound = sound & finite_matrix(information) & finite_vector(position);
        tile.store_points(keep<T>(sound, position, Vector<T>{}), out.prior_position);
        tile.store_matrices(keep<T>(sound, information, Symmetric<T>{}), out.prior_information);
    }
}

template <class S, int Bytes, template <class> class C, bool Ndive> constexpr VertexFitKind kind() {
    using T = Lanes<S, Bytes, true>;
    return {&forward<T, C<T>, Ndive>, &backward<T, C<T>, Ndive>, &weights_backward<S, Bytes>, Tile<T, C<T>>::packs * Bytes, Tile<T, C<T>>::lanes};
}

}  // namespace engine
