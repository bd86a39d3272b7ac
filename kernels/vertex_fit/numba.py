"""The vertex fit compiled by numba, one problem after another in float64: for installs without the native module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .numba_track import all_finite, invert, njit, product, values_of
from .problem import Gradients, Problem, Solution, Status


@njit  # type: ignore[untyped-decorator]
def _load(
    tracks: Any,
    cov: Any,
    weights: Any,
    mask: Any,
    first: int,
    weight_first: int,
    n: int,
    full: bool,
    q: Any,
    v: Any,
    w: Any,
    good: Any,
) -> Any:
    """Copy the usable tracks of a problem, turned into the frame of the heaviest; returns phi, cot(theta), z of it
    and its weight.
    """
    best, chosen = -1.0, -1
    for i in range(n):
        good[i], w[i], row = False, 0.0, first + i
        q[i] = 0.0
        q[i, 3] = 1.5
        v[i] = 0.0
        for k in range(5):
            v[i, k, k] = 1.0
        if not mask[row] or not all_finite(tracks[row]) or not all_finite(cov[row]):
            continue
        weight, fine = weights[weight_first + i], True
        for k in range(5):
            variance = cov[row, 6 * k] if full else cov[row, k]
            fine = fine and variance > 0
        if not fine or not math.isfinite(weight) or weight < 0 or abs(math.sin(tracks[row, 3])) <= 1e-5:
            continue
        for a in range(5):
            q[i, a] = tracks[row, a]
            for b in range(5):
                if full:
                    v[i, a, b] = 0.5 * (float(cov[row, 5 * a + b]) + float(cov[row, 5 * b + a]))
                elif a == b:
                    v[i, a, a] = cov[row, a]
        good[i], w[i] = True, weight
        if weight > best:
            best, chosen = weight, i
    if chosen < 0:
        return 0.0, 0.0, 0.0, 0.0
    phi, t, z = q[chosen, 2], math.cos(q[chosen, 3]) / math.sin(q[chosen, 3]), q[chosen, 1]
    for i in range(n):
        if good[i]:
            q[i, 1] -= z
            q[i, 2] -= phi
    return phi, t, z, best


@njit  # type: ignore[untyped-decorator]
def _basis(phi: float, t: float, u: Any) -> None:
    """The columns of the frame's basis in the laboratory."""
    u[0, 0], u[0, 1], u[0, 2] = math.cos(phi), -math.sin(phi), 0.0
    u[1, 0], u[1, 1], u[1, 2] = math.sin(phi), math.cos(phi), 0.0
    u[2, 0], u[2, 1], u[2, 2] = t, 0.0, 1.0


@njit  # type: ignore[untyped-decorator]
def _fit(
    q: Any,
    cov: Any,
    w: Any,
    p: Any,
    n: int,
    start: Any,
    t0: float,
    heaviest: float,
    given: bool,
    place: Any,
    info: Any,
    ndive: bool,
    sandwich: bool,
    tolerance: float,
    iterations: int,
    spread_out: Any,
    kept: Any,
) -> Any:
    """The iteration of fit.h in the frame; v and p are changed in place. Returns chi2 and the status."""
    v, limit = start, tolerance * (heaviest if heaviest > 0 else 1.0)
    m, spread, inverse, b, step, half = (
        np.empty((3, 3)),
        np.empty((3, 3)),
        np.empty((3, 3)),
        np.empty(3),
        np.empty(3),
        np.empty((3, 3)),
    )
    chi2, last, status = 0.0, 0.0, 1
    spread_out[:] = 0.0
    for iteration in range(iterations):
        now, straight = 0.0, 0.0
        m[:], spread[:], b[:] = 0.0, 0.0, 0.0
        if given:
            m[:], spread[:] = info, info
            away = np.array((place[0] - v[0], place[1] - v[1], place[2] - v[2] - t0 * (place[0] - v[0])))
            for i in range(3):
                for j in range(3):
                    b[i] += info[i, j] * away[j]
                now += away[i] * b[i]
        m11, m12, m13, m22, m23, m33 = m[0, 0], m[0, 1], m[0, 2], m[1, 1], m[1, 2], m[2, 2]
        s11, s12, s13, s22, s23, s33 = m11, m12, m13, m22, m23, m33
        for i in range(n):
            f = values_of(q, cov, i, v, p[i, 0], p[i, 1], p[i, 2], t0, ndive)
            s, c, t, u, Q, k = f[0], f[1], f[2], f[3], f[4], f[6]
            e2, e3, e4, y0, y1, d11, d12, d21, d22 = f[13], f[14], f[15], f[16], f[17], f[18], f[19], f[20], f[21]
            x11, x12, x13, x21, x22, x23, w11, w12, w22 = f[27], f[28], f[29], f[30], f[31], f[32], f[33], f[34], f[35]
            l1, l2, weight = w11 * y0 + w12 * y1, w12 * y0 + w22 * y1, w[i]
            a11, a12, a21, a22 = (
                w11 * d11 + w12 * d21,
                w11 * d12 + w12 * d22,
                w12 * d11 + w22 * d21,
                w12 * d12 + w22 * d22,
            )
            n11, n12, n13 = weight * (d11 * a11 + d21 * a21), weight * (d11 * a12 + d21 * a22), weight * a21
            n22, n23, n33 = weight * (d12 * a12 + d22 * a22), weight * a22, weight * w22
            m11, m12, m13, m22, m23, m33 = m11 + n11, m12 + n12, m13 + n13, m22 + n22, m23 + n23, m33 + n33
            s11, s12, s13 = s11 + weight * n11, s12 + weight * n12, s13 + weight * n13
            s22, s23, s33 = s22 + weight * n22, s23 + weight * n23, s33 + weight * n33
            now += weight * (l1 * y0 + l2 * y1)
            g0, g1 = d11 * l1 + d21 * l2, d12 * l1 + d22 * l2
            if not ndive and iteration > 0 and last < 1e4 * heaviest:
                shift_phi, shift_theta = e2 - (x11 * l1 + x21 * l2), e3 - (x12 * l1 + x22 * l2)
                along = l1 * (shift_phi + Q * (e4 - (x13 * l1 + x23 * l2))) + l2 * u * shift_theta
                across = -l2 * t * shift_phi
                g0 += c * along - s * across
                g1 += s * along + c * across
            b[0] += weight * g0
            b[1] += weight * g1
            b[2] += weight * l2
            if iteration == 0:
                tilt = t0 - t * c
                straight += weight * (w11 * s * s + 2 * w12 * s * tilt + w22 * tilt * tilt)
            kept[i, 0], kept[i, 1], kept[i, 2], kept[i, 3], kept[i, 4], kept[i, 5] = y0, y1, d11, d12, d21, d22
            kept[i, 6], kept[i, 7], kept[i, 8], kept[i, 9], kept[i, 10], kept[i, 11] = x11, x12, x13, x21, x22, x23
            kept[i, 12], kept[i, 13], kept[i, 14], kept[i, 15], kept[i, 16], kept[i, 17] = w11, w12, w22, e2, s, c
            kept[i, 18], kept[i, 19] = Q, 1.0 if ndive else k
        m[0, 0], m[0, 1], m[0, 2], m[1, 1], m[1, 2], m[2, 2] = m11, m12, m13, m22, m23, m33
        m[1, 0], m[2, 0], m[2, 1] = m12, m13, m23
        spread[0, 0], spread[0, 1], spread[0, 2], spread[1, 1], spread[1, 2], spread[2, 2] = (
            s11,
            s12,
            s13,
            s22,
            s23,
            s33,
        )
        spread[1, 0], spread[2, 0], spread[2, 1] = s12, s13, s23
        if not m[2, 2] > 0:
            return chi2, 2
        pivot2, pivot1 = invert(m, inverse)
        regular = pivot2 > 4e-15 and pivot1 > 4e-15
        if iteration == 0 and not (given and info[0, 0] + info[1, 1] + info[2, 2] > 0):
            regular = regular and straight > 1e-14 * (m[1, 1] + m[2, 2])
        if not regular:
            return chi2, 2
        gain = 0.0
        for i in range(3):
            step[i] = inverse[i, 0] * b[0] + inverse[i, 1] * b[1] + inverse[i, 2] * b[2]
            gain += step[i] * b[i]
        if not (math.isfinite(gain) and math.isfinite(now) and all_finite(step) and all_finite(inverse)):
            return chi2, 1
        if sandwich:
            product(inverse, spread, half)
            product(half, inverse, spread_out)
        else:
            spread_out[:] = inverse
        chi2 = now - gain
        v[0], v[1], v[2] = v[0] + step[0], v[1] + step[1], v[2] + step[2] + t0 * step[0]
        for i in range(n):
            r1 = kept[i, 0] - (kept[i, 2] * step[0] + kept[i, 3] * step[1])
            r2 = kept[i, 1] - (kept[i, 4] * step[0] + kept[i, 5] * step[1] + step[2])
            l1, l2 = kept[i, 12] * r1 + kept[i, 13] * r2, kept[i, 13] * r1 + kept[i, 14] * r2
            rho = q[i, 4] - (kept[i, 8] * l1 + kept[i, 11] * l2)
            turn = kept[i, 15] + p[i, 2] * (kept[i, 17] * step[0] + kept[i, 16] * step[1])
            turn += kept[i, 18] * (rho - p[i, 2]) - (kept[i, 6] * l1 + kept[i, 9] * l2)
            p[i, 0] += turn / kept[i, 19]
            p[i, 1] = q[i, 3] - (kept[i, 7] * l1 + kept[i, 10] * l2)
            p[i, 2] = rho
        if not ndive:
            ratio = min(1.0, max(1e-6, gain / last)) if iteration else 1.0
            if (gain * ratio < limit and gain < 5e2 * limit) or (gain < 1e-18 * heaviest and gain > 0.25 * last):
                return chi2, 0
        last = gain
    if ndive:
        chi2, status = 0.0, 0
        for i in range(n):
            f = values_of(q, cov, i, v, p[i, 0], p[i, 1], p[i, 2], t0, True)
            chi2 += w[i] * (f[11] * f[11] / cov[i, 0, 0] + f[12] * f[12] / cov[i, 1, 1] + f[13] * f[13] / cov[i, 2, 2])
            chi2 += w[i] * (f[14] * f[14] / cov[i, 3, 3] + f[15] * f[15] / cov[i, 4, 4])
    return chi2, status


@njit  # type: ignore[untyped-decorator]
def _prior_in(
    problem: int, position: Any, information: Any, u: Any, phi: float, z: float, place: Any, info: Any
) -> None:
    """The prior of a problem in its frame: position (not sheared) and information in the basis."""
    raw, half = np.zeros((3, 3)), np.empty((3, 3))
    place[:] = 0.0
    if all_finite(position[problem]):
        place[:] = position[problem]
    if all_finite(information[problem]):
        for i in range(3):
            for j in range(3):
                raw[i, j] = 0.5 * (float(information[problem, i, j]) + float(information[problem, j, i]))
    product(u.T, raw, half)
    product(half, u, info)
    x, y, c, s = place[0], place[1], math.cos(phi), math.sin(phi)
    place[0], place[1], place[2] = c * x + s * y, c * y - s * x, place[2] - z


@njit  # type: ignore[untyped-decorator]
def _forward(
    shape: Any,
    offsets: Any,
    tracks: Any,
    covariance: Any,
    weights: Any,
    mask: Any,
    position: Any,
    information: Any,
    seed: Any,
    flags: Any,
    tolerance: float,
    iterations: int,
    vertex: Any,
    spread: Any,
    chi2: Any,
    momenta: Any,
    status: Any,
) -> None:
    jets, vertices, jet_stride, vertex_stride, longest = shape
    full, ndive, sandwich, given = flags
    q, cov, w, good = np.empty((longest, 5)), np.empty((longest, 5, 5)), np.empty(longest), np.empty(longest, np.bool_)
    p, kept, u, c, lab, half = (
        np.empty((longest, 3)),
        np.empty((longest, 20)),
        np.empty((3, 3)),
        np.empty((3, 3)),
        np.empty((3, 3)),
        np.empty((3, 3)),
    )
    v, place, info = np.empty(3), np.empty(3), np.zeros((3, 3))
    for problem in range(jets * vertices):
        jet, k = problem // vertices, problem % vertices
        first, n = offsets[jet], offsets[jet + 1] - offsets[jet]
        weight_first = first * jet_stride + k * vertex_stride
        phi, t, z, heaviest = _load(tracks, covariance, weights, mask, first, weight_first, n, full, q, cov, w, good)
        _basis(phi, t, u)
        if given:
            _prior_in(problem, position, information, u, phi, z, place, info)
        p[:n] = q[:n, 2:5]
        x, y, z0 = seed[problem]
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z0)):
            x, y, z0 = 0.0, 0.0, 0.0
        v[0], v[1], v[2] = u[0, 0] * x + u[1, 0] * y, u[0, 1] * x + u[1, 1] * y, z0 - z
        value, state = _fit(
            q, cov, w, p, n, v, t, heaviest, given, place, info, ndive, sandwich, tolerance, iterations, c, kept
        )
        product(u, c, half)
        product(half, u.T, lab)
        if state < 2 and math.isfinite(value) and all_finite(lab) and all_finite(v):
            vertex[problem, 0], vertex[problem, 1] = u[0, 0] * v[0] + u[0, 1] * v[1], u[1, 0] * v[0] + u[1, 1] * v[1]
            vertex[problem, 2], spread[problem], chi2[problem] = v[2] + z, lab, value
        else:
            vertex[problem, 0], vertex[problem, 1], vertex[problem, 2] = x, y, z0
            spread[problem], chi2[problem], state = 0.0, 0.0, 2
        status[problem] = state
        for i in range(n):
            momenta[weight_first + i] = 0.0
            if good[i] and all_finite(p[i]):
                momenta[weight_first + i, 0] = p[i, 0] + phi
                momenta[weight_first + i, 1], momenta[weight_first + i, 2] = p[i, 1], p[i, 2]


def _arrays(problem: Problem) -> tuple[Any, ...]:
    """Flat float64 arrays of a problem (one type: one compilation): shape, offsets, tracks, covariance, weights,
    mask, prior, seed, flags.
    """
    heads, total = problem.jets * problem.vertices, problem.tracks.numel() // 5
    jets, _, padded, jet_stride, vertex_stride = problem.shape
    starts = np.arange(jets + 1, dtype=np.int64) * padded if problem.offsets is None else problem.offsets.numpy()
    longest = int(np.diff(starts).max(initial=0))
    mask = np.ones(total, np.bool_) if problem.mask is None else problem.mask.reshape(-1).numpy()
    given = problem.prior_information is not None and problem.prior_position is not None
    position = flat(problem.prior_position, heads if given else 1, 3)
    information = flat(problem.prior_information, heads if given else 1, 3, 3)
    seed = position if given and problem.seed is None else flat(problem.seed, heads, 3)
    shape = (jets, problem.vertices, jet_stride, vertex_stride, longest)
    flags = (problem.full, problem.ndive, problem.sandwich, given)
    covariance = flat(problem.covariance, total, 25 if problem.full else 5)
    weights = flat(problem.weights, problem.weights.numel())
    return shape, starts, flat(problem.tracks, total, 5), covariance, weights, mask, position, information, seed, flags


def flat(value: Tensor | None, *shape: int) -> Any:
    """A tensor as a float64 array of this shape; zeros without it."""
    return np.zeros(shape) if value is None else value.detach().double().reshape(shape).numpy()


def forward(problem: Problem) -> Solution:
    """Fit every problem (see `api.vertex_fit`)."""
    out, heads = problem.empty_solution(), problem.jets * problem.vertices
    vertex, spread, chi2 = np.empty((heads, 3)), np.empty((heads, 3, 3)), np.empty(heads)
    momenta = np.empty((problem.weights.numel(), 3))
    settings = problem.tolerance, problem.max_iterations
    _forward(*_arrays(problem), *settings, vertex, spread, chi2, momenta, out.status.reshape(-1).numpy())  # type: ignore[call-arg]
    for target, values in zip(out[:4], (vertex, spread, chi2, momenta), strict=True):
        target.copy_(torch.from_numpy(values).reshape(target.shape))
    if problem.tracks.dtype != torch.float64:
        _silence_overflow(out, problem)
    return out


def _silence_overflow(out: Solution, problem: Problem) -> None:
    """What float64 holds and the output's type does not is a singular fit."""
    fine = (
        torch.isfinite(out.vertex).all(-1)
        & torch.isfinite(out.covariance).flatten(-2).all(-1)
        & torch.isfinite(out.chi2)
    )
    start = problem.seed if problem.seed is not None else problem.prior_position
    fallback = torch.zeros_like(out.vertex) if start is None else torch.nan_to_num(start, 0.0, 0.0, 0.0)
    out.vertex.copy_(torch.where(fine.unsqueeze(-1), out.vertex, fallback))
    out.covariance.masked_fill_(~fine[..., None, None], 0.0)
    out.chi2.masked_fill_(~fine, 0.0)
    out.status.masked_fill_(~fine, int(Status.SINGULAR))
    out.momenta.masked_fill_(~torch.isfinite(out.momenta), 0.0)


def backward(
    problem: Problem, solution: Solution, cotangents: Sequence[Tensor | None], wanted: Sequence[bool]
) -> Gradients:
    """Gradients of the outputs (vertex, covariance, chi2, momenta) weighted by their cotangents."""
    from .numba_gradient import run

    return run(_arrays(problem), problem, solution, cotangents, wanted)
