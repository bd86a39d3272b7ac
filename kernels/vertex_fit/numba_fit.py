"""The iteration of the vertex fit (fit.h) on floats, one problem after another; `numba` compiles it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from . import track_model as model
from .algebra import Symmetric, Vector, congruent, dot, factor, inverse, mix, plus, rows, solve, symmetric, times
from .problem import Status
from .track_model import Frame, Linear

CONVERGED, NOT_CONVERGED, SINGULAR = map(int, Status)
ZERO: Symmetric = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
Jet = tuple[int, float, Frame, Vector, Symmetric, float]  # see `load`


class Sums(NamedTuple):
    """What a pass over the tracks adds up: see fit.h."""

    m: Symmetric
    spread: Symmetric  # with squared weights, over the heaviest one
    b: Vector
    now: float
    straight: float


class Given(NamedTuple):
    """All problems of a call, in flat float64 arrays; symmetric matrices have six columns."""

    shape: tuple[int, int, int, int, int]  # see `Problem.shape`
    longest: int  # most tracks that a jet has
    offsets: Any  # (B + 1,) int64, the first track of each jet
    tracks: Any  # (N, 5)
    covariance: Any  # (N, 5) variances or (N, 25) matrices
    weights: Any  # in the order of `shape`; -1 where the track is not usable
    position: Any  # of the priors, (B K, 3), 0 without
    information: Any  # (B K, 6), 0 without
    digits: float  # the rounding of the inputs' precision
    ndive: bool
    sandwich: bool
    tolerance: float
    max_iterations: int


class Track(NamedTuple):
    """A track: its row among the tracks, its place among the weights and momenta, its numbers (see `linearise`)."""

    row: int
    place: int
    weight: float
    q: tuple[float, ...]
    cov: tuple[float, ...]


def track_of(tracks: Any, covariance: Any, row: int, place: int, weight: float) -> Track:
    """A track with the upper triangle of its covariance; of a matrix that of the symmetric part."""
    q, v = tracks[row], covariance[row]
    if len(v) == 5:
        cov = (v[0], 0.0, 0.0, 0.0, 0.0, v[1], 0.0, 0.0, 0.0, v[2], 0.0, 0.0, v[3], 0.0, v[4])
    else:
        cov = (v[0], 0.5 * (v[1] + v[5]), 0.5 * (v[2] + v[10]), 0.5 * (v[3] + v[15]), 0.5 * (v[4] + v[20]),
               v[6], 0.5 * (v[7] + v[11]), 0.5 * (v[8] + v[16]), 0.5 * (v[9] + v[21]),
               v[12], 0.5 * (v[13] + v[17]), 0.5 * (v[14] + v[22]), v[18], 0.5 * (v[19] + v[23]), v[24])  # fmt: skip
    return Track(row, place, weight, (q[0], q[1], q[2], q[3], q[4]), cov)


def load(given: Given, problem: int, tracks: Any) -> Jet:
    """How many usable tracks a problem has, which are written to `tracks`, and their greatest weight; the frame of the
    heaviest, and in it the prior's position (not sheared) and information, and what may be rounding of that.
    """
    measured, covariance, weights = given.tracks, given.covariance, given.weights
    _, vertices, _, jet_stride, vertex_stride = given.shape
    first, last = given.offsets[problem // vertices], given.offsets[problem // vertices + 1]
    shift = first * (jet_stride - 1) + problem % vertices * vertex_stride
    n, heaviest, reference, frame = 0, -1.0, 0, Frame(1.0, 0.0, 0.0, 0.0, 0.0)
    for row in range(first, last):
        track = track_of(measured, covariance, row, row + shift, weights[row + shift])
        if track.weight >= 0:
            tracks[n] = track
            if track.weight > heaviest:
                heaviest, reference = track.weight, n
            n += 1
    if n:
        q = tracks[reference].q
        frame = Frame(math.cos(q[2]), math.sin(q[2]), math.cos(q[3]) / math.sin(q[3]), q[2], q[1])
    x, prior = given.position[problem], symmetric(given.information[problem])
    known, mixed = congruent(model.basis(frame), prior), abs(prior[1]) + abs(prior[2]) + abs(prior[4]) > 0
    noise = given.digits * (known[0] + known[3] + known[5]) if mixed else 0.0
    return n, heaviest, frame, model.point_in(frame, x[0], x[1], x[2]), known, noise


def linearise(track: Track, frame: Frame, v: Vector, p: Vector, approximate: bool) -> Linear:
    """See `track_model.linearise`."""
    trig = math.sin(p[0]), math.cos(p[0]), math.cos(p[1]) / math.sin(p[1])
    q = track.q[0], track.q[1] - frame.z, track.q[2] - frame.phi, track.q[3], track.q[4]
    return model.linearise(q, track.cov, v, p, trig, frame.t, approximate)


def determined(
    m: Symmetric, factors: tuple[float, ...], straight: float, known: Symmetric, noise: float, first: bool
) -> bool:
    """Whether the sums determine a vertex: see fit.h."""
    _, m1, m2, _, n, pivot2, pivot1, _ = factors
    l31, digits = m2 * n - m1, model.ROUNDING[0]
    along = not first or known[0] > noise or straight > 1e-14 * (m[3] + m[5])
    regular = m[5] > noise and pivot2 > digits * m[3] + noise * (1 + m2 * m2)
    return bool(along and regular and pivot1 > digits * m[0] + noise * (1 + n * n + l31 * l31))


def next_reach(length: float, slope: float, now: float) -> float:
    """How long the next step of Gauss and Newton is to be: see `Reach` in fit.h."""
    return min(max(length * slope / max(slope - now, 1e-3 * slope), 0.01), 2.0) if abs(now) > 0.2 * slope else 1.0


def reached(frame: Frame, good: Vector, step: Vector) -> Vector:
    """The point a step (in the basis b) away."""
    return good[0] + step[0], good[1] + step[1], good[2] + step[2] + frame.t * step[0]


def as_measured(track: Track, frame: Frame, v: Vector) -> Vector:
    """The momentum that the measured helix has at the point v."""
    phi = track.q[2] - frame.phi
    return phi + track.q[4] * (v[0] * math.cos(phi) + v[1] * math.sin(phi)), track.q[3], track.q[4]


def summed(given: Given, jet: Jet, tracks: Any, v: Vector, p: Any, linear: Any, first: bool, near: bool) -> Sums:
    """Everything linearised at (v, p) and summed."""
    ndive, (n, heaviest, frame, place, known, _) = given.ndive, jet
    away, straight, share = model.distance(frame, v, place), 0.0, 1 / heaviest if heaviest > 0 else 1.0
    m, spread, (b1, b2, b3) = known, plus(ZERO, share, known), times(rows(known), away)
    now = dot(away, (b1, b2, b3))
    for i in range(n):
        f, w = linearise(tracks[i], frame, v, p[i], ndive), tracks[i].weight
        linear[i] = f
        l1, l2 = model.multipliers(f, f.y[0], f.y[1])
        part, (g1, g2, g3) = model.information(f), model.force(f, l1, l2)
        m, spread, now = plus(m, w, part), plus(spread, w * share * w, part), now + w * (l1 * f.y[0] + l2 * f.y[1])
        if first:
            straight += w * model.straightness(f, frame.t)
        elif near:
            more = model.turning(f, l1, l2)
            g1, g2 = g1 + more[0], g2 + more[1]
        b1, b2, b3 = b1 + w * g1, b2 + w * g2, b3 + w * g3
    return Sums(m, spread, (b1, b2, b3), now, straight)


def fit(given: Given, jet: Jet, tracks: Any, v: Vector, p: Any, linear: Any) -> tuple[Vector, Symmetric, float, int]:
    """Vertex, covariance, chi2 and status, in the frame, of a problem (see `load`); from the point v and the momenta p,
    which become those at the vertex. `linear` is scratch.
    """
    ndive, (n, heaviest, frame, _, known, noise) = given.ndive, jet
    weight = heaviest if heaviest > 0 else 1.0
    limit, status, chi2, last, normal, squares = given.tolerance * weight, NOT_CONVERGED, 0.0, 0.0, ZERO, ZERO
    good, step, length, slope, objective, whole, back = v, (0.0, 0.0, 0.0), 1.0, 0.0, 0.0, False, False
    for iteration in range(given.max_iterations):
        first = iteration == 0
        near = not ndive and last < 1e4 * heaviest
        sums = summed(given, jet, tracks, v, p, linear, first, near)
        factors = factor(sums.m)
        move = solve(factors, sums.b)
        gain = dot(move, sums.b)
        sound = determined(sums.m, factors, sums.straight, known, noise, first)
        sound = sound and math.isfinite(gain + sum(move) + sums.now)
        if not sound and (first or ndive):
            status = SINGULAR
            break
        back = not sound or (not (first or ndive) and sums.now > 1.03 * objective + 1e-3 * heaviest)
        if back:
            part = min(max(slope / (sums.now - objective + 2 * slope), 0.1), 0.5) if sound else 0.1
            step, length, slope, whole = mix(part, step, 0.0, step), part * length, part * slope, False
            v = reached(frame, good, step)
            for i in range(n):
                p[i] = as_measured(tracks[i], frame, v)
            continue
        normal, squares, chi2 = sums.m, sums.spread, sums.now - gain
        remaining = gain * min(1.0, max(1e-6, gain / last)) if whole else gain
        stalled = gain < 1e-18 * heaviest and gain > 0.25 * last
        arrived = not ndive and ((remaining < limit and gain < 5e2 * limit) or stalled)
        length = 1.0 if first or ndive or arrived else next_reach(length, slope, dot(sums.b, step))
        good, step, whole = v, mix(length, move, 0.0, move), length == 1
        slope, objective, last = length * gain, sums.now, gain
        if not arrived and not ndive and iteration + 1 == given.max_iterations:
            break
        v = reached(frame, good, step)
        for i in range(n):
            p[i] = model.moved(linear[i], tracks[i].q, step, p[i], ndive)
        if arrived:
            status = CONVERGED
            break
    if ndive and status == NOT_CONVERGED:
        status, chi2 = CONVERGED, 0.0
        for i in range(n):
            chi2 += tracks[i].weight * model.plain_chi2(linearise(tracks[i], frame, v, p[i], True), tracks[i].cov)
    elif status == NOT_CONVERGED:  # it stays at the best point that it has seen
        v, chi2 = good, objective
        for i in range(n):
            p[i] = as_measured(tracks[i], frame, v) if back else p[i]
    result = inverse(normal)
    return v, plus(ZERO, weight, congruent(rows(result), squares)) if given.sandwich else result, chi2, status


def forward(given: Given, start: Any, out: Any) -> None:
    """Fit every problem from its start (B K, 3) into the arrays of a `Solution`, which hold zeros."""
    tracks = [track_of(given.tracks, given.covariance, 0, 0, 0.0) for _ in range(given.longest)]
    p = [(0.0, 1.5, 0.0) for _ in tracks]
    linear = [linearise(tracks[0], Frame(1.0, 0.0, 0.0, 0.0, 0.0), p[0], p[0], False) for _ in tracks]
    for problem in range(len(start)):  # the three lists are filled anew
        x, jet = start[problem], load(given, problem, tracks)
        n, _, frame, _, _, _ = jet
        for i in range(n):
            q = tracks[i].q
            p[i] = q[2] - frame.phi, q[3], q[4]
        v, covariance, chi2, status = fit(given, jet, tracks, model.point_in(frame, x[0], x[1], x[2]), p, linear)
        out.vertex[problem], out.chi2[problem], out.status[problem] = model.point_out(frame, v), chi2, status
        out.covariance[problem] = congruent(model.laboratory(frame), covariance)
        for i in range(n):
            phi, theta, rho = p[i]
            if math.isfinite(phi + theta + rho):
                out.momenta[tracks[i].place] = phi + frame.phi, theta, rho
