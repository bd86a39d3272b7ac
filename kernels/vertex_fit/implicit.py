"""The derivative of the vertex fit in plain torch, independent of the compiled one.

One exact Newton step on (v, p_1 ... p_n), taken with detached second derivatives from automatic differentiation, moves
nothing at the solution but carries the gradient of the implicit function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from .iteration import linearised
from .problem import Gradients, Problem, Solution, Status
from .track_model import Linear, information
from .usable import components, prior_of, square, usable


def backward(
    problem: Problem, solution: Solution, cotangents: Sequence[Tensor | None], wanted: Sequence[bool]
) -> Gradients:
    """Gradients of the outputs weighted by their cotangents, computed in float64; what is not finite becomes zero."""
    if not problem.jets or not problem.vertices:
        return problem.zero_gradients(wanted)
    with torch.enable_grad():
        leaves = [
            None if value is None else value.detach().double().requires_grad_(want)
            for value, want in zip(problem.differentiable, wanted, strict=True)
        ]
        outputs = differentiable(problem, solution, leaves)
        pairs = [(out, ct.double()) for out, ct in zip(outputs, cotangents, strict=True) if ct is not None]
        terms = [(torch.where(torch.isfinite(ct), ct, 0.0) * out).sum() for out, ct in pairs]
        needed = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        asked = bool(terms and needed)
        found = torch.autograd.grad(torch.stack(terms).sum(), needed, materialize_grads=True) if asked else ()
    made = {id(leaf): gradient for leaf, gradient in zip(needed, found, strict=False)}
    zeros = zip(leaves, problem.zero_gradients(wanted), strict=True)
    clean = (z if z is None else made.get(id(leaf), z).to(z.dtype).nan_to_num(0.0, 0.0, 0.0) for leaf, z in zeros)
    return Gradients(*clean)


def _solve(matrices: Tensor, right: Tensor) -> Tensor:
    """A^-1 b; of a problem whose matrix has no inverse not finite, while the others get theirs."""
    found: Tensor = torch.linalg.solve_ex(matrices, right)[0]
    return found


def _objective(x: Tensor, q: Tensor, g: Tensor) -> Tensor:
    """Half the chi2 of a track at (v, p), x (6,), by the textbook's residuals: q (5,), inverse covariance g (5, 5)."""
    c, s, t, rho = torch.cos(x[3]), torch.sin(x[3]), 1 / torch.tan(x[4]), x[5]
    Q, R = x[0] * c + x[1] * s, x[1] * c - x[0] * s
    h = torch.stack([-R - 0.5 * rho * Q * Q, x[2] - t * Q * (1 - R * rho), x[3] - rho * Q, x[4], rho])
    return 0.5 * (q - h) @ g @ (q - h)


def _each(function: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """A function of one track for all of them, (B, K, n, ...)."""
    made: Tensor = torch.func.vmap(function)(*(value.flatten(0, 2) for value in arguments))
    return made.reshape(*arguments[0].shape[:3], *made.shape[1:])


def differentiable(problem: Problem, solution: Solution, leaves: Sequence[Tensor | None]) -> Sequence[Tensor]:
    """Vertex, covariance, chi2 and momenta at the solution, as functions of the leaves."""
    tracks, covariance, weights, position, inverse = leaves
    live = problem._replace(tracks=tracks, covariance=covariance, weights=weights)  # type: ignore[arg-type]
    live = live._replace(prior_position=position, prior_information=inverse)
    padded, place = live.with_vertices().padded()
    solution = problem.widened(solution)
    momenta = solution.momenta.double()
    if place is not None:
        slots = momenta.new_zeros((padded.vertices, padded.tracks.shape[0] * padded.tracks.shape[1], 3))
        momenta = slots.index_copy(1, place, momenta).unflatten(1, padded.tracks.shape[:2]).transpose(0, 1)
    padded, momenta = _with_a_masked_track(padded), pad(momenta, (0, 0, 0, 1))
    solved = solution.status < int(Status.SINGULAR)
    good = usable(padded) & solved.unsqueeze(-1)
    parts, cov, w = components(padded, good)
    q, g, w_matrix = torch.stack(parts, dim=-1), torch.linalg.inv(square(cov)), w[..., None, None]
    v0 = solution.vertex.double()
    p0 = torch.where(good.unsqueeze(-1), momenta, momenta.new_tensor([0.0, 1.5, 0.0]))
    x0 = torch.cat([v0.unsqueeze(-2).expand(p0.shape), p0], dim=-1)
    gradient = torch.func.grad(_objective)
    slope = _each(gradient, x0, q, g).unsqueeze(-1)
    hessian = _each(torch.func.jacrev(gradient), x0, q.detach(), g.detach())
    hvv, hpv, hpp = hessian[..., :3, :3], hessian[..., 3:, :3], hessian[..., 3:, 3:]
    back = -_solve(hpp, hpv)  # dp/dv
    exact = (w_matrix.detach() * (hvv + hpv.mT @ back)).sum(-3)
    pull = (w_matrix * (slope[..., :3, :] + back.mT @ slope[..., 3:, :])).sum(-3)
    eye = torch.eye(3, dtype=v0.dtype, device=v0.device)
    place0, known = prior_of(padded) or (v0, 0 * eye)
    known = 0.5 * (known + known.mT)
    exact, pull = exact + known.detach(), pull + known @ (v0 - place0).unsqueeze(-1)
    dv = -_solve(torch.where(solved[..., None, None], exact, eye), pull)
    # The part of the step that has no gradient only moves the point to the minimum (mode ndive stops beside it).
    dv = torch.where(solved[..., None, None], dv - dv.detach(), 0.0)
    dp = back @ dv.unsqueeze(-3) - _solve(hpp, slope[..., 3:, :])
    v, p = v0 + dv.squeeze(-1), p0 + torch.where(good.unsqueeze(-1), (dp - dp.detach()).squeeze(-1), 0.0)
    f = linearised(parts, cov, v.unbind(-1), p.unbind(-1), torch.zeros_like(v[..., 0]), False)
    matrix, chi2 = _covariance_and_chi2(f, g, w_matrix, v - place0, known, padded.sandwich)
    p = p[..., :-1, :]
    return problem.narrowed([v, matrix, chi2, p if place is None else p.transpose(0, 1).flatten(1, 2)[:, place]])


def _covariance_and_chi2(
    f: Linear, g: Tensor, w: Tensor, away: Tensor, known: Tensor, sandwich: bool
) -> tuple[Tensor, Tensor]:
    """From the linearised tracks, their inverse covariances and weights (B, K, n, 1, 1), and the prior's part."""
    part, e, apart = square(information(f)), torch.stack(f.e, dim=-1).unsqueeze(-1), away.unsqueeze(-1)
    m, spread = (w * part).sum(-3) + known, (w * w * part).sum(-3) + known
    regular = (torch.linalg.det(m.detach()) > 0)[..., None, None]
    inverse = torch.linalg.inv(torch.where(regular, m, torch.eye(3, dtype=m.dtype, device=m.device)))
    matrix = torch.where(regular, inverse @ spread @ inverse if sandwich else inverse, 0.0)
    chi2 = (w * (e.mT @ g @ e)).sum(-3) + apart.mT @ known @ apart
    return matrix, chi2.squeeze(-1).squeeze(-1)


def _with_a_masked_track(problem: Problem) -> Problem:
    """One more track that does not count: batched algebra wants a shape."""
    real = torch.ones_like(problem.tracks[..., 0], dtype=torch.bool) if problem.mask is None else problem.mask
    covariance = pad(problem.covariance, (0, 0) * (problem.covariance.dim() - 2) + (0, 1))
    tracks, weights = pad(problem.tracks, (0, 0, 0, 1)), pad(problem.weights, (0, 1))
    return problem._replace(tracks=tracks, covariance=covariance, weights=weights, mask=pad(real, (0, 1)))
