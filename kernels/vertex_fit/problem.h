// A problem's fit and gradients, whoever works on it: a lane of a tile on the processor (tile.h), a group of threads of a CUDA device (thread.h).
// Beyond what fit.h asks of `Tracks` it has: valid(i) and measured(i) of the tracks; stored_point, stored_matrix and stored_number read what a list
// holds for this problem (of none: zero), store writes there; write and add take rows of numbers of every track; pulls, responses and gradients
// wait there between two passes, or are made again.
#pragma once

#include "cpu.h"
#include "gradient.h"

namespace engine {

template <class T> struct Pull { Vector<T> force; T chi2; };

// Zero where not all of it is finite.
template <class T> ENGINE_INLINE T cleaned(const T& x) { return select<T>(finite(x), x, T{}); }
template <class T> ENGINE_INLINE Vector<T> cleaned(const Vector<T>& v) { return keep<T>(finite(v), v); }
template <class T> ENGINE_INLINE Symmetric<T> cleaned(const Symmetric<T>& m) { return keep<T>(finite(m), m); }

// How vertex and chi2 answer to each weight: d(x, y, z, chi2)/dw of every track. While the tracks of a solution are at hand this is cheap; a
// gradient of the weights is then a sum of four products.
template <class T, class P> ENGINE_INLINE void respond_to_weights(P& problem, const Vector<T>& v, mask_t<T> sound, void* response) {
    const mask_t<T> none = T{} > T{};
    Symmetric<T> exact = problem.begins ? problem.prior.information : Symmetric<T>{};
    Vector<T> unused;
    const Cotangents<T> none_of_these;
    auto momentum = [&](int i) ENGINE_INLINED { return problem.momentum(i); };
    each_linearised<false, T>(problem, v, false, momentum, [&](int i, const Momentum<T>&, const auto& f) ENGINE_INLINED {
        const Response<T> r = respond<false, false>(f, problem.covariance(i), problem.weight(i), Momentum<T>{}, none_of_these, exact, unused);
        problem.keep_pull(i, {turned_back(f.c, f.s, r.force), r.chi2});
    });
    problem.collect(exact);
    const Factors<T> factors(exact);
    for (int i = problem.mine; i < problem.longest; i += P::every) {  // one track that is not finite silences the whole problem
        Pull<T> pull = problem.pull(i);
        pull.force = problem.frame.vector_out(factors.solve(pull.force));
        sound = sound & ((finite(pull.force) & finite(pull.chi2)) | (problem.valid(i) == none));
        problem.keep_pull(i, pull);
    }
    sound = problem.agree(sound);
    problem.template write<4>(response, [&](int i, T* row) ENGINE_INLINED {
        const Pull<T> pull = problem.pull(i);
        const mask_t<T> good = sound & problem.valid(i);
        const Vector<T> force = keep<T>(good, pull.force);
        row[0] = force.x, row[1] = force.y, row[2] = force.z, row[3] = select<T>(good, pull.chi2, T{});
    });
}

template <bool Ndive, class T, class P> ENGINE_INLINE void forward(P& problem, const EngineVertexInputs& in, const EngineVertexOutputs& out) {
    const Vector<T> start = cleaned(problem.stored_point(in.seed ? in.seed : in.prior_position));
    const Fit<T> result = fit<Ndive, T>(problem, problem.frame.point_in(start), {in.tolerance, in.max_iterations, in.sandwich != 0});
    const Vector<T> point = problem.frame.point_out(result.vertex);
    const Symmetric<T> spread = problem.frame.matrix_out(result.covariance);
    const mask_t<T> sound = finite(point) & finite(spread) & finite(result.chi2), solved = sound & (result.status < constant<T>(singular));
    problem.store(keep<T>(solved, point, start), out.vertex);
    problem.store(keep<T>(solved, spread), out.covariance);
    problem.store(select<T>(solved, result.chi2, T{}), out.chi2);
    problem.store_status(select<T>(sound, result.status, constant<T>(singular)), out.status);
    if (!Ndive && out.response) respond_to_weights(problem, result.vertex, solved, out.response);
    problem.template write<3>(out.momenta, [&](int i, T* row) ENGINE_INLINED {
        const Momentum<T> q = problem.measured(i), p = problem.momentum(i);
        const Vector<T> sum{q.phi + p.phi, q.theta + p.theta, q.rho + p.rho}, found = keep<T>(problem.valid(i) & finite(sum), sum);
        row[0] = found.x, row[1] = found.y, row[2] = found.z;
    });
}

// The gradients of `out` that are asked for. The adjoint state needs the responses of all tracks first.
template <bool Ndive, class T, class C, class P>
ENGINE_INLINE void backward(P& problem, const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& given,
                            const EngineVertexGradients& out) {
    const bool whole = out.tracks || out.covariance;
    const mask_t<T> none = T{} > T{};
    const Vector<T> v = problem.frame.point_in(cleaned(problem.stored_point(solution.vertex)));
    Cotangents<T> ct;
    ct.vertex = problem.frame.covector_in(cleaned(problem.stored_point(given.vertex)));
    ct.chi2 = cleaned(problem.stored_number(given.chi2));
    ct.covariance = given.covariance != nullptr;
    auto momentum = [&](int i) ENGINE_INLINED { return problem.momentum(i); };
    const Symmetric<T> known = problem.begins ? problem.prior.information : Symmetric<T>{};
    if (ct.covariance) {
        Symmetric<T> m = known, spread = known;
        each_linearised<false, T>(problem, v, false, momentum, [&](int i, const Momentum<T>&, const auto& f) ENGINE_INLINED {
            const T w = problem.weight(i), scaled = w * f.scale;
            add(m, scaled, f.unscaled());
            add(spread, T(w * scaled), f.unscaled());
        });
        problem.collect(m, spread);
        ct.gamma_m = problem.frame.matrix_in(cleaned(problem.stored_matrix(given.covariance)));
        differentiate_covariance(ct, m, spread, in.sandwich != 0);
    }
    Symmetric<T> exact = known;
    Vector<T> rhs = problem.begins ? ct.vertex : Vector<T>{};
    auto answer = [&](int i, const auto& f, Symmetric<T>& sum, Vector<T>& side) ENGINE_INLINED {
        return respond<Ndive, true>(f, problem.covariance(i), problem.weight(i), problem.momentum_cotangent(i), ct, sum, side);
    };
    each_linearised<false, T>(problem, v, false, momentum, [&](int i, const Momentum<T>&, const auto& f) ENGINE_INLINED {
        problem.keep_response(i, answer(i, f, exact, rhs));
    });
    problem.collect(exact, rhs);
    const Vector<T> lambda = Factors<T>(exact).solve(rhs);
    mask_t<T> sound = problem.solved(solution.status) & finite(lambda) & finite(ct.gamma_m) & finite(ct.gamma_s);
    auto response = [&](int i) ENGINE_INLINED {
        Symmetric<T> sum;
        Vector<T> side;
        const auto f = linearise<false>(Aim<T>(problem.q(i), v, momentum(i)), problem.q(i), problem.covariance(i), v, momentum(i), problem.frame.t);
        return answer(i, f, sum, side);
    };
    auto gradient = [&](int i) ENGINE_INLINED { return Gradient<T, C>(problem.response(i, response), lambda, ct, whole); };
    for (int i = problem.mine; i < problem.longest; i += P::every) {
        const Gradient<T, C> g = gradient(i);
        sound = sound & (g.all_finite() | (problem.valid(i) == none));  // one track that is not finite silences the whole problem
        problem.keep_gradient(i, g);
    }
    sound = problem.agree(sound);
    auto found = [&](int i) ENGINE_INLINED { return problem.gradient(i, gradient); };
    problem.template write<1>(out.weights, [&](int i, T* row) ENGINE_INLINED { row[0] = select<T>(sound & problem.valid(i), found(i).w, T{}); });
    problem.template add<5>(out.tracks, [&](int i, T* row) ENGINE_INLINED {
        const Gradient<T, C> g = found(i);
        for (int k = 0; k < 5; ++k) row[k] = select<T>(sound & problem.valid(i), g.q[k], T{});
    });
    problem.template add<C::width>(out.covariance, [&](int i, T* row) ENGINE_INLINED {
        const Gradient<T, C> g = found(i);
        for (int k = 0; k < C::size; ++k) row[C::upper(k)] = row[C::lower(k)] = select<T>(sound & problem.valid(i), g.v[k], T{});
    });
    if (!problem.prior.given) return;
    Vector<T> position;
    Symmetric<T> information;
    prior_gradient(problem.frame, problem.prior, v, lambda, ct, position, information);
    sound = sound & problem.prior.known & finite(position) & finite(information);
    problem.store(keep<T>(sound, position), out.prior_position);
    problem.store(keep<T>(sound, information), out.prior_information);
}

// The gradient of the weights of one problem from its response. A cotangent that is not finite counts as zero; a gradient that is not finite
// silences the whole problem.
template <class S, class Who>
ENGINE_INLINE void weights_of(const S* ENGINE_RESTRICT response, const S* vertex, S chi2, S* ENGINE_RESTRICT out, int64_t tracks, const Who& who) {
    const S zero = 0, none[3] = {};
    if (!vertex || !((vertex[0] + vertex[1] + vertex[2]) * zero == zero)) vertex = none;
    const S x = vertex[0], y = vertex[1], z = vertex[2], c = chi2 * zero == zero ? chi2 : zero;
    S sum = 0;
    for (int64_t i = who.mine; i < tracks; i += Who::every) {
        out[i] = (response[4 * i] * x + response[4 * i + 1] * y) + (response[4 * i + 2] * z + response[4 * i + 3] * c);
        sum += out[i] * zero;
    }
    const bool sound = who.agree(sum == zero);
    for (int64_t i = who.mine; !sound && i < tracks; i += Who::every) out[i] = zero;
}
template <class S, class Who = Alone>
ENGINE_INLINE void weights_backward(const EngineVertexInputs& in, const void* response, const EngineVertexCotangents& ct, void* weights, int64_t first,
                                    int64_t last, const Who& who = Who{}) {
    for (int64_t problem = first; problem < last; ++problem) {
        const int64_t jet = problem / in.vertices, start = in.offsets ? in.offsets[jet] : jet * in.padded;
        const int64_t tracks = in.offsets ? in.offsets[jet + 1] - start : in.padded;
        const int64_t at = start * in.jet_stride + problem % in.vertices * in.vertex_stride;
        weights_of(static_cast<const S*>(response) + at * 4, ct.vertex ? static_cast<const S*>(ct.vertex) + problem * 3 : nullptr,
                   ct.chi2 ? static_cast<const S*>(ct.chi2)[problem] : S(0), static_cast<S*>(weights) + at, tracks, who);
    }
}

}  // namespace engine
