"""The derivative of the vertex fit in plain torch, independent of the compiled one.

One exact Newton step on (v, p_1 ... p_n), taken with detached second derivatives from automatic differentiation, moves
nothing at the solution but carries the gradient of the implicit function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from . import track_model as model
from .problem import Gradients, Problem, Solution, Status
from .usable import components, prior_of, square, usable


def backward(
    problem: Problem, solution: Solution, cotangents: Sequence[Tensor | None], wanted: Sequence[bool]
) -> Gradients:
    """Gradients of the outputs weighted by their cotangents, computed in float64."""
    inputs = [problem.tracks, problem.covariance, problem.weights, problem.prior_position, problem.prior_information]
    with torch.enable_grad():
        leaves = [
            value.detach().double().requires_grad_(want) if value is not None else None
            for value, want in zip(inputs, wanted, strict=True)
        ]
        outputs = differentiable(problem, solution, leaves)
        pairs = [(out, ct.double()) for out, ct in zip(outputs, cotangents, strict=True) if ct is not None]
        total = sum((torch.where(torch.isfinite(ct), ct, 0.0) * out).sum() for out, ct in pairs)
        needed = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        found = torch.autograd.grad(total, needed, allow_unused=True) if pairs and needed else [None] * len(needed)  # type: ignore[arg-type]
    made = iter(found)
    result: list[Tensor | None] = []
    for value, leaf in zip(inputs, leaves, strict=True):
        gradient = next(made) if leaf is not None and leaf.requires_grad else None
        missing = leaf is not None and leaf.requires_grad and gradient is None
        result.append(torch.zeros_like(value) if missing else None if gradient is None else gradient.to(value.dtype))  # type: ignore[union-attr,arg-type]
    return Gradients(*result)


def _objective(v: Tensor, p: Tensor, q: Tensor, g: Tensor) -> Tensor:
    """Half the chi2 of one track, from the textbook five residuals: q (5,), g the inverse covariance (5, 5)."""
    c, s, t = torch.cos(p[0]), torch.sin(p[0]), 1 / torch.tan(p[1])
    Q, R = v[0] * c + v[1] * s, v[1] * c - v[0] * s
    h = torch.stack([-R - 0.5 * p[2] * Q * Q, v[2] - t * Q * (1 - R * p[2]), p[0] - p[2] * Q, p[1], p[2]])
    return 0.5 * (q - h) @ g @ (q - h)


def _derivatives(v: Tensor, p: Tensor, q: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    """Derivatives of the objective of every track: to v and p, and without a graph to vv, pv and pp."""
    shape = p.shape[:-1]
    flat = (v.reshape(-1, 3), p.reshape(-1, 3), q.reshape(-1, 5), g.reshape(-1, 5, 5))
    first = torch.func.grad(_objective, argnums=(0, 1))
    gv, gp = torch.func.vmap(first)(*flat)
    fixed = tuple(value.detach() for value in flat)
    (hvv, _), (hpv, hpp) = torch.func.vmap(torch.func.jacrev(first, argnums=(0, 1)))(*fixed)
    second = (value.reshape(*shape, 3, 3) for value in (hvv, hpv, hpp))
    return gv.reshape(*shape, 3), gp.reshape(*shape, 3), *second


def differentiable(problem: Problem, solution: Solution, leaves: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Vertex, covariance, chi2 and momenta at the solution, as functions of the leaves."""
    tracks, covariance, weights, position, information = leaves
    live = replace(problem, tracks=tracks, covariance=covariance, weights=weights)  # type: ignore[arg-type]
    live = replace(live, prior_position=position, prior_information=information)
    padded, place = live.padded()
    momenta = solution.momenta.double()
    empty = padded.tracks.shape[1] == 0
    if empty:
        padded, momenta = _with_a_masked_track(padded), momenta.new_zeros((*momenta.shape[:2], 1, 3))
    if place is not None:
        slots = momenta.new_zeros((problem.vertices, padded.tracks.shape[0] * padded.tracks.shape[1], 3))
        momenta = slots.index_copy(1, place, momenta).unflatten(1, padded.tracks.shape[:2]).transpose(0, 1)
    solved = solution.status < int(Status.SINGULAR)
    good = usable(padded) & solved.unsqueeze(-1)
    parts, cov, w = components(padded, good)
    q = torch.stack(parts, dim=-1)
    v0 = solution.vertex.double()
    p0 = torch.where(good.unsqueeze(-1), momenta, torch.tensor([0.0, 1.5, 0.0], dtype=torch.float64, device=q.device))
    g = torch.linalg.inv(square(cov))
    gv, gp, hvv, hpv, hpp = _derivatives(v0.unsqueeze(-2).expand(p0.shape), p0, q, g)
    back = -torch.linalg.solve(hpp, hpv)  # dp/dv
    exact = (w.detach()[..., None, None] * (hvv + hpv.mT @ back)).sum(-3)
    pull = (w.unsqueeze(-1) * (gv + (back.mT @ gp.unsqueeze(-1)).squeeze(-1))).sum(-2)
    prior = None
    if (given := prior_of(padded)) is not None:
        prior = (given[0], 0.5 * (given[1] + given[1].mT))
        away = v0 - prior[0]
        exact, pull = exact + prior[1].detach(), pull + (prior[1] @ away.unsqueeze(-1)).squeeze(-1)
    exact = torch.where(solved[..., None, None], exact, torch.eye(3, dtype=exact.dtype, device=exact.device))
    dv = -torch.linalg.solve(exact, pull.unsqueeze(-1)).squeeze(-1)
    # The part of the step that has no gradient only moves the point to the minimum (mode ndive stops beside it).
    v = v0 + torch.where(solved.unsqueeze(-1), dv - dv.detach(), 0.0)
    moved = (back @ (v - v0).unsqueeze(-2).unsqueeze(-1)).squeeze(-1)
    dp = moved - torch.linalg.solve(hpp, gp.unsqueeze(-1)).squeeze(-1)
    p = p0 + dp - dp.detach()
    p = torch.where(good.unsqueeze(-1), p, p.detach())
    return _outputs(v, p, q, cov, w, g, prior, place, empty, padded.sandwich)


def _with_a_masked_track(problem: Problem) -> Problem:
    """A problem without any track, with one that does not count: batched algebra wants a shape."""
    tracks = problem.tracks.new_zeros((problem.jets, 1, 5))
    mask = torch.zeros(problem.jets, 1, dtype=torch.bool, device=tracks.device)
    weights = tracks.new_zeros((problem.jets, problem.vertices, 1))
    covariance = tracks.new_zeros((problem.jets, 1, 5, 5)) if problem.full else tracks
    return replace(problem, tracks=tracks, covariance=covariance, weights=weights, mask=mask)


def _outputs(
    v: Tensor,
    p: Tensor,
    q: Tensor,
    cov: tuple[Tensor, ...],
    w: Tensor,
    g: Tensor,
    prior: tuple[Tensor, Tensor] | None,
    place: Tensor | None,
    empty: bool,
    sandwich: bool,
) -> tuple[Tensor, ...]:
    """The outputs as explicit functions of the vertex, the momenta and the inputs."""
    t, parts = torch.zeros((), dtype=v.dtype), p.unbind(-1)
    trig = torch.sin(parts[0]), torch.cos(parts[0]), 1 / torch.tan(parts[1])
    f = model.linearise(q.unbind(-1), cov, v.unsqueeze(-2).unbind(-1), parts, trig, t, False)  # type: ignore[arg-type]
    full = square(model.information(f))
    m, spread = (w[..., None, None] * full).sum(-3), ((w * w)[..., None, None] * full).sum(-3)
    e = torch.stack(f.e, dim=-1)
    chi2 = (w * (e.unsqueeze(-2) @ g @ e.unsqueeze(-1)).squeeze(-1).squeeze(-1)).sum(-1)
    if prior is not None:
        away = v - prior[0]
        m, spread = m + prior[1], spread + prior[1]
        chi2 = chi2 + (away.unsqueeze(-2) @ prior[1] @ away.unsqueeze(-1)).squeeze(-1).squeeze(-1)
    regular = torch.linalg.det(m.detach()) > 0
    inverse = torch.linalg.inv(torch.where(regular[..., None, None], m, torch.eye(3, dtype=m.dtype, device=m.device)))
    covariance = inverse @ spread @ inverse if sandwich else inverse
    momenta = p if place is None else p.transpose(0, 1).flatten(1, 2)[:, place]
    momenta = momenta[..., :0, :] if empty else momenta
    return v, torch.where(regular[..., None, None], covariance, 0.0), chi2, momenta
