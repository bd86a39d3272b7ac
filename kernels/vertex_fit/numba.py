"""The vertex fit compiled by numba, one problem after another in float64: for installs without the native module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .numba_track import add_track, all_finite, invert, linearise, njit, product
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
    e, y, d, k, x, w2, h, _ = (
        np.empty(5),
        np.empty(2),
        np.empty((2, 3)),
        np.empty((2, 3)),
        np.empty((2, 3)),
        np.empty((2, 2)),
        np.empty(11),
        np.empty((5, 5)),
    )
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
        for i in range(n):
            linearise(q[i], cov[i], v, p[i], t0, ndive, e, y, d, k, x, w2, h)
            l1, l2 = w2[0, 0] * y[0] + w2[0, 1] * y[1], w2[1, 0] * y[0] + w2[1, 1] * y[1]
            add_track(w[i], d, w2, m, spread)
            now += w[i] * (l1 * y[0] + l2 * y[1])
            g0, g1 = d[0, 0] * l1 + d[1, 0] * l2, d[0, 1] * l1 + d[1, 1] * l2
            if not ndive and iteration > 0 and last < 1e4 * heaviest:
                shift_phi = e[2] - (x[0, 0] * l1 + x[1, 0] * l2)
                shift_theta, shift_rho = e[3] - (x[0, 1] * l1 + x[1, 1] * l2), e[4] - (x[0, 2] * l1 + x[1, 2] * l2)
                along, across = l1 * (shift_phi + h[4] * shift_rho) + l2 * h[3] * shift_theta, -l2 * h[2] * shift_phi
                g0 += h[1] * along - h[0] * across
                g1 += h[0] * along + h[1] * across
            b[0] += w[i] * g0
            b[1] += w[i] * g1
            b[2] += w[i] * l2
            if iteration == 0:
                tilt = t0 - h[2] * h[1]
                straight += w[i] * (w2[0, 0] * h[0] * h[0] + 2 * w2[0, 1] * h[0] * tilt + w2[1, 1] * tilt * tilt)
            kept[i, 0:2], kept[i, 2:5], kept[i, 5:8] = y, d[0], d[1]
            kept[i, 8:11], kept[i, 11:14] = x[0], x[1]
            kept[i, 14], kept[i, 15], kept[i, 16], kept[i, 17] = w2[0, 0], w2[0, 1], w2[1, 1], e[2]
            kept[i, 18], kept[i, 19], kept[i, 20], kept[i, 21] = h[0], h[1], h[4], 1.0 if ndive else h[6]
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
            a = kept[i]
            r1, r2 = a[0] - (a[2] * step[0] + a[3] * step[1]), a[1] - (a[5] * step[0] + a[6] * step[1] + step[2])
            l1, l2 = a[14] * r1 + a[15] * r2, a[15] * r1 + a[16] * r2
            rho = q[i, 4] - (a[10] * l1 + a[13] * l2)
            turn = (
                a[17]
                + p[i, 2] * (a[19] * step[0] + a[18] * step[1])
                - (a[8] * l1 + a[11] * l2)
                + a[20] * (rho - p[i, 2])
            )
            p[i, 0] += turn / a[21]
            p[i, 1] = q[i, 3] - (a[9] * l1 + a[12] * l2)
            p[i, 2] = rho
        if not ndive:
            ratio = min(1.0, max(1e-6, gain / last)) if iteration else 1.0
            if (gain * ratio < limit and gain < 5e2 * limit) or (gain < 1e-18 * heaviest and gain > 0.25 * last):
                return chi2, 0
        last = gain
    if ndive:
        chi2, status = 0.0, 0
        for i in range(n):
            linearise(q[i], cov[i], v, p[i], t0, True, e, y, d, k, x, w2, h)
            for j in range(5):
                chi2 += w[i] * e[j] * e[j] / cov[i, j, j]
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
        np.empty((longest, 22)),
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
