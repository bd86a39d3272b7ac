"""The gradient of the vertex fit on floats, by the implicit function theorem; `numba` compiles it.

The objective's second derivatives in (v, p') are J^T G J - L with L = sum l_k h_k'' and l = V^-1 e = N W y. Along the
columns of T = [1; Y], Y = X^T W D, the vertex moves and p' follows as if h were linear. With S = V345 - X^T W X (the
covariance of p' at a fixed vertex), H = (S^-1 - L_pp)^-1 and Z = L_p T a track adds
  D^T W D - L_v T - Z^T J,   J = Y + H Z = dp'/dv,
to the exact normal matrix A. For cotangents c_v and c_p the adjoint state is lambda = A^-1 (c_v + sum J^T c_p),
  m = w J lambda + H c_p,   c = L_p (w lambda, m) + c_p,   u_12 = W (w D lambda - X c),   u_345 = c - K^T u_12:
u is the gradient with respect to q, -(u l^T + l u^T)/2 the one with respect to V, and l . dh(lambda, J lambda) that
of the weight. The covariance depends on the sums of w and w^2 D^T W D; as T makes the objective least, <Gamma, D^T W D>
varies by 2 sum_a (N W D Gamma)_a . h''(T_a) - <N W D Gamma D^T W N^T, dV>, where a counts columns.
"""

from __future__ import annotations

import math
from typing import Any

from .algebra import Symmetric, Vector, congruent, dot, inner, inverse, mix, plus, rows, stiffened, symmetric, times
from .numba_fit import ZERO, Given, Track, linearise, load, track_of
from .track_model import Linear, basis, bend, follow, information, laboratory, lifted, multipliers, point_in, variances


def respond(f: Linear, track: Track, ndive: bool, ct_p: Any, covariance: bool, gm: Symmetric, gs: Symmetric) -> Any:
    """First pass, for the cotangents of the momentum and, if `covariance`, of the sums of w and w^2 D^T W D.

    Returns what the track adds to A (times its weight) and to the adjoint problem's right-hand side, and what the
    second pass needs: l, J by columns, H, c_p, and how <Gamma, D^T W D> varies with C2 (11, 12, 22) and the weight.
    """
    w, cov, (l1, l2) = track.weight, track.cov, multipliers(f, f.y[0], f.y[1])
    pull = lifted(f, l1, l2)
    if ndive:  # the momentum is not at its minimum
        e, v = f.e, variances(cov)
        pull = (e[0] / v[0], e[1] / v[1], e[2] / v[2], e[3] / v[3], e[4] / v[4])
    y1, y2, y3 = follow(f, f.d1[0], f.d2[0]), follow(f, f.d1[1], f.d2[1]), follow(f, f.d1[2], f.d2[2])
    x1, x2, x3 = follow(f, f.x1[0], f.x2[0]), follow(f, f.x1[1], f.x2[1]), follow(f, f.x1[2], f.x2[2])
    v1, v2, v3 = rows(symmetric(cov[9:]))
    S = mix(1.0, v1, -1.0, x1), mix(1.0, v2, -1.0, x2), mix(1.0, v3, -1.0, x3)
    L = (bend(f, pull, 0.0, 0.0, (1.0, 0.0, 0.0))[2], bend(f, pull, 0.0, 0.0, (0.0, 1.0, 0.0))[2],
         bend(f, pull, 0.0, 0.0, (0.0, 0.0, 1.0))[2])  # fmt: skip
    H = stiffened(S, L)
    l11, l12, z1 = bend(f, pull, 1.0, 0.0, y1)
    _, l22, z2 = bend(f, pull, 0.0, 1.0, y2)
    _, _, z3 = bend(f, pull, 0.0, 0.0, y3)
    j1, j2, j3 = mix(1.0, y1, 1.0, times(H, z1)), mix(1.0, y2, 1.0, times(H, z2)), mix(1.0, y3, 1.0, times(H, z3))
    curved = l11 + dot(z1, j1), l12 + dot(z1, j2), dot(z1, j3), l22 + dot(z2, j2), dot(z2, j3), dot(z3, j3)
    part, turn = information(f), ct_p[0] / f.k
    x, y, cp = f.rho * turn * f.c, f.rho * turn * f.s, (turn, ct_p[1], ct_p[2] + f.Q * turn)
    omega, direct = (0.0, 0.0, 0.0), 0.0
    if covariance:
        wd1, wd2 = mix(f.w[0], f.d1, f.w[1], f.d2), mix(f.w[1], f.d1, f.w[2], f.d2)
        gamma = rows(plus(plus(ZERO, w, gm), w * w, gs))
        g1, g2 = times(gamma, wd1), times(gamma, wd2)
        omega, direct = (-dot(g1, wd1), -dot(g1, wd2), -dot(g2, wd2)), inner(gm, part) + 2 * w * inner(gs, part)
        for a, (dx, dy, dp) in enumerate(((1.0, 0.0, y1), (0.0, 1.0, y2), (0.0, 0.0, y3))):
            more = bend(f, lifted(f, 2 * g1[a], 2 * g2[a]), dx, dy, dp)
            x, y, cp = x + more[0], y + more[1], mix(1.0, cp, 1.0, more[2])
    toward = x + dot(j1, cp), y + dot(j2, cp), dot(j3, cp)
    return plus(part, -1.0, curved), toward, (pull, (j1, j2, j3), H, cp, omega, direct)


def adjoint(f: Linear, track: Track, kept: Any, lam: Vector, ct_chi2: float, to: tuple[Any, Any, Any]) -> None:
    """Second pass: add the gradients of q, V and the weight to their arrays."""
    (pull, J, H, cp, (o11, o12, o22), weight), w, (tracks, covariance, weights) = kept, track.weight, to
    d1, d2, j = dot(f.d1, lam), dot(f.d2, lam), mix(1.0, mix(lam[0], J[0], lam[1], J[1]), lam[2], J[2])
    c = mix(1.0, bend(f, pull, w * lam[0], w * lam[1], mix(w, j, 1.0, times(H, cp)))[2], 1.0, cp)
    u1, u2 = multipliers(f, w * d1 - dot(f.x1, c), w * d2 - dot(f.x2, c))
    u3, u4, u5 = mix(1.0, c, -1.0, mix(u1, f.k1, u2, f.k2))
    u, dh = (u1, u2, u3, u4, u5), (d1 + dot(f.k1, j), d2 + dot(f.k2, j), j[0], j[1], j[2])
    full, n1, n2 = covariance.shape[1] > 5, lifted(f, 1.0, 0.0), lifted(f, 0.0, 1.0)
    weight += ct_chi2 * (pull[0] * f.y[0] + pull[1] * f.y[1])
    for a in range(5):
        weight += pull[a] * dh[a]
        tracks[track.row, a] += u[a] + 2 * w * ct_chi2 * pull[a]
        for b in range(5) if full else range(a, a + 1):
            spread = o11 * n1[a] * n1[b] + o12 * (n1[a] * n2[b] + n2[a] * n1[b]) + o22 * n2[a] * n2[b]
            least = 0.5 * (u[a] * pull[b] + pull[a] * u[b]) + w * ct_chi2 * pull[a] * pull[b]
            covariance[track.row, 5 * a + b if full else a] += spread - least
    weights[track.place] = weight


def of_sums(bar: Symmetric, m: Symmetric, spread: Symmetric, sandwich: bool) -> tuple[Symmetric, Symmetric]:
    """From the covariance's cotangent to those of M and B: the covariance is M^-1 B M^-1, or M^-1."""
    i, b = rows(inverse(m)), rows(spread)
    gamma = congruent(i, bar)
    if not sandwich:
        return plus(ZERO, -1.0, gamma), ZERO
    g1, g2, g3 = rows(gamma)
    p1, p2, p3 = times(i, times(b, g1)), times(i, times(b, g2)), times(i, times(b, g3))  # gamma B M^-1
    return (-2 * p1[0], -p1[1] - p2[0], -p1[2] - p3[0], -2 * p2[1], -p2[2] - p3[1], -2 * p3[2]), gamma


def backward(given: Given, vertex: Any, momenta: Any, solved: Any, ct: Any, covariance: bool, out: Any) -> None:
    """Add the gradients of the solved problems to arrays of zeros; one that is not finite is marked as not solved.

    `ct` are the cotangents of vertex, covariance (B K, 6), chi2 (B K, 1), momenta; `covariance` says whether that one
    counts. `out` are the arrays for tracks, covariance and weights, and two of which the prior's gradients are made,
    in the laboratory: lambda (B K, 3), and what the covariance gives the prior's information (B K, 6).
    """
    ct_vertex, ct_covariance, ct_chi2, ct_momenta = ct
    tracks = [track_of(given.tracks, given.covariance, 0, 0, 0.0) for _ in range(given.longest)]
    for problem in range(len(solved)):
        if not solved[problem]:
            continue
        n, _, frame, _, known, _ = load(given, problem, tracks)
        linear, responses = [], []
        x, c, gm, gs = vertex[problem], ct_vertex[problem], ZERO, ZERO
        m, spread, exact, rhs = known, known, known, times(basis(frame), (c[0], c[1], c[2]))
        for i in range(n):
            p, v, w = momenta[tracks[i].place], point_in(frame, x[0], x[1], x[2]), tracks[i].weight
            f = linearise(tracks[i], frame, v, (p[0] - frame.phi, p[1], p[2]), False)
            m, spread = plus(m, w, information(f)), plus(spread, w * w, information(f))
            linear.append(f)
        if covariance:
            bar = congruent(basis(frame), symmetric(ct_covariance[problem]))
            gm, gs = of_sums(bar, m, spread, given.sandwich)
        for i in range(n):
            ct_p = ct_momenta[tracks[i].place]
            part, toward, kept = respond(linear[i], tracks[i], given.ndive, ct_p, covariance, gm, gs)
            exact, rhs = plus(exact, tracks[i].weight, part), mix(1.0, rhs, 1.0, toward)
            responses.append(kept)
        lam = times(rows(inverse(exact)), rhs)
        solved[problem] = math.isfinite(sum(lam) + sum(gm) + sum(gs))
        if solved[problem]:
            for i in range(n):
                adjoint(linear[i], tracks[i], responses[i], lam, ct_chi2[problem, 0], out[:3])
            out[3][problem] = times(laboratory(frame), lam)
            out[4][problem] = congruent(laboratory(frame), plus(gm, 1.0, gs))
