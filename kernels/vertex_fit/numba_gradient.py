"""The vertex fit's gradient for numba: the adjoint equations at the head of gradient.h, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .numba_track import add_track, all_finite, curvature, invert, linearise, njit, product
from .problem import Gradients, Problem, Solution


@njit  # type: ignore[untyped-decorator]
def _covariance_part(
    gm: Any, gs: Any, w: float, d: Any, w2: Any, x: Any, h: Any, omega: Any, cp: Any, rhs: Any
) -> float:
    """Gradient of <Gamma, D^T W D> at fixed (v, p'): into omega, cp and rhs; returns the direct part of the
    weight's.
    """
    gamma, part, zero, f, bar = w * gm + w * w * gs, np.zeros((3, 3)), np.zeros((3, 3)), np.empty((5, 5)), np.empty(5)
    add_track(1.0, d, w2, part, zero)
    direct = (gm * part).sum() + 2 * w * (gs * part).sum()
    dg, dgd, half = np.empty((2, 3)), np.empty((2, 2)), np.empty((2, 2))
    product(d, gamma, dg)
    product(dg, d.T, dgd)
    product(w2, dgd, half)
    product(half, w2, omega)
    omega *= -1
    for row in range(2):
        for a in range(2):
            bar[a] = 2 * (w2[row, 0] * dg[0, a] + w2[row, 1] * dg[1, a])
        for a in range(3):
            bar[2 + a] = -2 * (omega[row, 0] * x[0, a] + omega[row, 1] * x[1, a])
        curvature(h, 1.0 - row, float(row), 0.0, f)
        for a in range(5):
            total = 0.0
            for b in range(5):
                total += f[a, b] * bar[b]
            if a < 2:
                rhs[a] += total
            else:
                cp[a - 2] += total
    return direct  # type: ignore[no-any-return]


@njit  # type: ignore[untyped-decorator]
def _respond(
    q: Any,
    covs: Any,
    i: int,
    w: float,
    v: Any,
    p: Any,
    t0: float,
    ndive: bool,
    bar: Any,
    with_covariance: bool,
    gm: Any,
    gs: Any,
    exact: Any,
    rhs: Any,
    r: Any,
) -> None:
    """First pass over a track; r keeps l, y, D, W, X, K, the second derivatives, H, J, cp, omega and the weight's
    terms.
    """
    e, y, l, d, k, x, w2, h, f, _, hs, j, cp, omega, excess, direct = r  # noqa: E741
    linearise(q, covs, i, v, p, t0, False, e, y, d, k, x, w2, h)
    cov = covs[i]
    excess[:], direct[0], kappa = 0.0, 0.0, 0.0
    if ndive:
        l[0], l[1] = e[0] / cov[0, 0], e[1] / cov[1, 1]
        for m in range(3):
            excess[m] = e[2 + m] / cov[2 + m, 2 + m] + k[0, m] * l[0] + k[1, m] * l[1]
        kappa = h[6] * excess[0]
    else:
        l[0], l[1] = w2[0, 0] * y[0] + w2[0, 1] * y[1], w2[1, 0] * y[0] + w2[1, 1] * y[1]
    kk, Q = h[6], h[4]
    cp[0], cp[1], cp[2] = bar[0] / kk, bar[1], bar[2] + bar[0] * Q / kk
    rhs[0] += bar[0] * h[10] / kk * h[1]
    rhs[1] += bar[0] * h[10] / kk * h[0]
    if with_covariance:
        direct[0] = _covariance_part(gm, gs, w, d, w2, x, h, omega, cp, rhs)
    curvature(h, l[0], l[1], kappa, f)
    wd, wx, left, back, s = np.empty((2, 3)), np.empty((2, 3)), np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    product(w2, d, wd)
    product(w2, x, wx)
    lp = f[2:, 2:]
    product(x.T, wx, s)
    for a in range(3):
        for b in range(3):
            s[a, b] = cov[2 + a, 2 + b] - s[a, b]
    product(s, lp, left)
    for a in range(3):
        for b in range(3):
            left[a, b] = (1.0 if a == b else 0.0) - left[a, b]
    _inverse3(left, back)
    product(back, s, hs)
    product(x.T, wd, j)  # Y
    z, lv = np.empty((3, 3)), np.zeros((3, 3))
    lv[:, :2] = f[2:, :2]
    product(lp, j, z)
    z += lv
    extra = np.empty((3, 3))
    product(d.T, wd, extra)
    extra[:2, :2] -= f[:2, :2]
    for a in range(3):
        for b in range(3):
            for m in range(3):
                extra[a, b] -= j[m, a] * lv[m, b]
    product(hs, z, left)
    j += left
    for a in range(3):
        for b in range(3):
            for m in range(3):
                extra[a, b] -= z[m, a] * j[m, b]
            exact[a, b] += w * extra[a, b]
            rhs[a] += j[b, a] * cp[b]


@njit  # type: ignore[untyped-decorator]
def _inverse3(m: Any, out: Any) -> None:
    a, b, c, d, e, f, g, h, i = m[0, 0], m[0, 1], m[0, 2], m[1, 0], m[1, 1], m[1, 2], m[2, 0], m[2, 1], m[2, 2]
    one = 1 / (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
    out[0, 0], out[0, 1], out[0, 2] = (e * i - f * h) * one, (c * h - b * i) * one, (b * f - c * e) * one
    out[1, 0], out[1, 1], out[1, 2] = (f * g - d * i) * one, (a * i - c * g) * one, (c * d - a * f) * one
    out[2, 0], out[2, 1], out[2, 2] = (d * h - e * g) * one, (b * g - a * h) * one, (a * e - b * d) * one


@njit  # type: ignore[untyped-decorator]
def _adjoint(r: Any, w: float, lam: Any, ct_chi2: float, with_covariance: bool, gq: Any, gv: Any) -> float:
    """Second pass over a track: the gradients of q (5,) and V (5, 5); returns the weight's."""
    _, y, l, d, k, x, w2, _, f, _, hs, j, cp, omega, excess, direct = r  # noqa: E741
    m, c, s, full, u = np.zeros(3), np.zeros(3), np.empty(2), np.empty(5), np.empty(5)
    weight = direct[0] if with_covariance else 0.0
    for a in range(3):
        jl = j[a, 0] * lam[0] + j[a, 1] * lam[1] + j[a, 2] * lam[2]
        weight += jl * excess[a]
        m[a] = w * jl + hs[a, 0] * cp[0] + hs[a, 1] * cp[1] + hs[a, 2] * cp[2]
    for a in range(3):
        c[a] = w * (f[2 + a, 0] * lam[0] + f[2 + a, 1] * lam[1]) + cp[a]
        for b in range(3):
            c[a] += f[2 + a, 2 + b] * m[b]
    for i in range(2):
        dl = d[i, 0] * lam[0] + d[i, 1] * lam[1] + d[i, 2] * lam[2]
        weight += l[i] * dl + ct_chi2 * l[i] * y[i]
        s[i] = x[i, 0] * c[0] + x[i, 1] * c[1] + x[i, 2] * c[2] - w * dl
    a0, a1 = w2[0, 0] * s[0] + w2[0, 1] * s[1], w2[1, 0] * s[0] + w2[1, 1] * s[1]
    full[0], full[1], u[0], u[1] = l[0], l[1], -a0, -a1
    for a in range(3):
        full[2 + a] = -(k[0, a] * l[0] + k[1, a] * l[1])
        u[2 + a] = c[a] + k[0, a] * a0 + k[1, a] * a1
    for a in range(5):
        u[a] += w * ct_chi2 * full[a]
        gq[a] = u[a] + w * ct_chi2 * full[a]
    for a in range(5):
        for b in range(5):
            gv[a, b] = -0.5 * (u[a] * full[b] + u[b] * full[a])
            if with_covariance:
                for i in range(2):
                    na = (1.0 if a == i else 0.0) if a < 2 else -k[i, a - 2]
                    for n in range(2):
                        nb = (1.0 if b == n else 0.0) if b < 2 else -k[n, b - 2]
                        gv[a, b] += na * omega[i, n] * nb
    return weight


@njit  # type: ignore[untyped-decorator]
def _covariance_cotangents(bar: Any, m: Any, spread: Any, sandwich: bool, gm: Any, gs: Any) -> None:
    """From the covariance's cotangent to those of the normal matrix and of its spread."""
    inverse, half, gamma, full = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    invert(m, inverse)
    product(inverse, bar, half)
    product(half, inverse, gamma)
    if not sandwich:
        gm[:], gs[:] = -gamma, 0.0
        return
    gs[:] = gamma
    product(gamma, spread, half)
    product(half, inverse, full)
    gm[:] = -(full + full.T)


@njit  # type: ignore[untyped-decorator]
def _backward(
    arrays: Any,
    vertex: Any,
    momenta: Any,
    status: Any,
    ct_vertex: Any,
    ct_cov: Any,
    ct_chi2: Any,
    ct_momenta: Any,
    with_covariance: bool,
    to_tracks: Any,
    to_cov: Any,
    to_weights: Any,
    to_position: Any,
    to_information: Any,
) -> None:
    shape, offsets, tracks, covariance, weights, mask, position, information, _, flags = arrays
    jets, vertices, jet_stride, vertex_stride, longest = shape
    full, ndive, sandwich, given = flags
    q, cov, w, good = np.empty((longest, 5)), np.empty((longest, 5, 5)), np.empty(longest), np.empty(longest, np.bool_)
    p, bars, gq, gv, gw = (
        np.empty((longest, 3)),
        np.zeros((longest, 3)),
        np.empty((longest, 5)),
        np.empty((longest, 5, 5)),
        np.empty(longest),
    )
    r = [
        (
            np.empty(5),
            np.empty(2),
            np.empty(2),
            np.empty((2, 3)),
            np.empty((2, 3)),
            np.empty((2, 3)),
            np.empty((2, 2)),
            np.empty(11),
            np.empty((5, 5)),
            np.empty(1),
            np.empty((3, 3)),
            np.empty((3, 3)),
            np.empty(3),
            np.zeros((2, 2)),
            np.empty(3),
            np.empty(1),
        )
        for _ in range(max(longest, 1))
    ]
    u, m, spread, exact, bar, half, gm, gs = (
        np.zeros((3, 3)),
        np.zeros((3, 3)),
        np.zeros((3, 3)),
        np.zeros((3, 3)),
        np.zeros((3, 3)),
        np.zeros((3, 3)),
        np.zeros((3, 3)),
        np.zeros((3, 3)),
    )
    v, rhs, lam, place, info = np.empty(3), np.empty(3), np.empty(3), np.zeros(3), np.zeros((3, 3))
    for problem in range(jets * vertices):
        if status[problem] >= 2:
            continue
        jet = problem // vertices
        first, n = offsets[jet], offsets[jet + 1] - offsets[jet]
        start = first * jet_stride + problem % vertices * vertex_stride
        phi, t, z, _ = _load(tracks, covariance, weights, mask, first, start, n, full, q, cov, w, good)
        _basis(phi, t, u)
        if given:
            _prior_in(problem, position, information, u, phi, z, place, info)
        x, y = vertex[problem, 0], vertex[problem, 1]
        v[0], v[1], v[2] = u[0, 0] * x + u[1, 0] * y, u[0, 1] * x + u[1, 1] * y, vertex[problem, 2] - z
        for i in range(n):
            p[i, 0], p[i, 1], p[i, 2], bars[i] = 0.0, 1.5, 0.0, 0.0
            if good[i]:
                p[i, 0], p[i, 1], p[i, 2] = momenta[start + i, 0] - phi, momenta[start + i, 1], momenta[start + i, 2]
                bars[i] = ct_momenta[start + i]
        exact[:], rhs[:], chi2_bar = info, 0.0, ct_chi2[problem]
        if not math.isfinite(chi2_bar):
            chi2_bar = 0.0
        if all_finite(ct_vertex[problem]):
            for a in range(3):
                rhs[a] = (
                    u[0, a] * ct_vertex[problem, 0] + u[1, a] * ct_vertex[problem, 1] + u[2, a] * ct_vertex[problem, 2]
                )
        if with_covariance:
            m[:], spread[:], bar[:] = info, info, 0.0
            for i in range(n):
                e, y2, _, d, k, x2, w2, h = r[i][:8]
                linearise(q, cov, i, v, p, t, False, e, y2, d, k, x2, w2, h)
                add_track(w[i], d, w2, m, spread)
            if all_finite(ct_cov[problem]):
                for a in range(3):
                    for b in range(3):
                        bar[a, b] = 0.5 * (float(ct_cov[problem, a, b]) + float(ct_cov[problem, b, a]))
            product(u.T, bar, half)
            product(half, u, bar)
            _covariance_cotangents(bar, m, spread, sandwich, gm, gs)
        for i in range(n):
            _respond(q, cov, i, w[i], v, p, t, ndive, bars[i], with_covariance, gm, gs, exact, rhs, r[i])
        invert(exact, half)
        for a in range(3):
            lam[a] = half[a, 0] * rhs[0] + half[a, 1] * rhs[1] + half[a, 2] * rhs[2]
        fine = all_finite(lam) and all_finite(gm) and all_finite(gs)
        for i in range(n):
            gw[i] = _adjoint(r[i], w[i], lam, chi2_bar, with_covariance, gq[i], gv[i])
            fine = fine and (not good[i] or (math.isfinite(gw[i]) and all_finite(gq[i]) and all_finite(gv[i])))
        if not fine:
            continue
        for i in range(n):
            if not good[i]:
                continue
            to_weights[start + i] = gw[i]
            for a in range(5):
                to_tracks[first + i, a] += gq[i, a]
                for b in range(5):
                    if full:
                        to_cov[first + i, 5 * a + b] += gv[i, a, b]
                    elif a == b:
                        to_cov[first + i, a] += gv[i, a, a]
        if given:
            _prior_gradient(u, t, v, place, info, lam, chi2_bar, gm, gs, to_position[problem], to_information[problem])


@njit  # type: ignore[untyped-decorator]
def _prior_gradient(
    u: Any,
    t: float,
    v: Any,
    place: Any,
    info: Any,
    lam: Any,
    chi2_bar: float,
    gm: Any,
    gs: Any,
    position: Any,
    information: Any,
) -> None:
    d, ld, ll, b = np.empty(3), np.zeros(3), np.zeros(3), np.zeros(3)
    d[0], d[1] = place[0] - v[0], place[1] - v[1]
    d[2] = place[2] - v[2] - t * d[0]
    for i in range(3):
        for j in range(3):
            b[i] += info[i, j] * (lam[j] + 2 * chi2_bar * d[j])
            ld[i] += u[i, j] * d[j]
            ll[i] += u[i, j] * lam[j]
    x, y = b[0] - t * b[2], b[1]
    position[0], position[1], position[2] = u[0, 0] * x + u[0, 1] * y, u[1, 0] * x + u[1, 1] * y, b[2]
    half, lab = np.empty((3, 3)), np.empty((3, 3))
    product(u, gm + gs, half)
    product(half, u.T, lab)
    for i in range(3):
        for j in range(3):
            information[i, j] = 0.5 * (ll[i] * ld[j] + ld[i] * ll[j]) + chi2_bar * ld[i] * ld[j] + lab[i, j]


def run(
    arrays: tuple[Any, ...],
    problem: Problem,
    solution: Solution,
    cotangents: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> Gradients:
    """See `numba.backward`."""
    heads, total, per_track = problem.jets * problem.vertices, problem.tracks.numel() // 5, problem.weights.numel()
    width, priors = 25 if problem.full else 5, heads if problem.prior_position is not None else 1
    shapes = ((total, 5), (total, width), (per_track,), (priors, 3), (priors, 3, 3))
    made = [np.zeros(shape) for shape in shapes]
    _backward(
        arrays,
        flat(solution.vertex, heads, 3),
        flat(solution.momenta, per_track, 3),
        solution.status.reshape(-1).numpy(),
        flat(cotangents[0], heads, 3),
        flat(cotangents[1], heads, 3, 3),
        flat(cotangents[2], heads),
        flat(cotangents[3], per_track, 3),
        cotangents[1] is not None,
        *made,
    )
    inputs = (problem.tracks, problem.covariance, problem.weights, problem.prior_position, problem.prior_information)
    return Gradients(
        *(
            torch.from_numpy(values).reshape(like.shape).to(like.dtype).nan_to_num_(0.0, 0.0, 0.0)
            if want and like is not None
            else None
            for values, like, want in zip(made, inputs, wanted, strict=True)
        )
    )


from .numba import _basis, _load, _prior_in, flat  # noqa: E402  (this module is imported on the first gradient)
