"""Vertex fit and extrapolation of helices as modules; the work is done by operators of `engine_kernels`.

Values are widened to the declared precision whatever the precision around them is: variances of 1e-8 next to lengths of
hundreds of mm do not fit into half a float. While a network is written as ONNX, the same equations are written out.
"""

from __future__ import annotations

import torch
from engine_kernels.angles import cosine
from engine_kernels.extrapolate import reference as helix
from engine_kernels.extrapolate.api import extrapolate
from engine_kernels.vertex_fit import reference as fitting
from engine_kernels.vertex_fit.api import Prior, vertex_fit
from engine_kernels.vertex_fit.problem import Problem, Solution
from torch import Tensor, nn
from torch.jit._trace import is_tracing

from engine.graph import portable
from engine.graph.modules.merging import common_mask
from engine.graph.modules.values import Value, Values

EXPORTED_ITERATIONS = 20
"""Steps of the fit at most in a graph that is traced, where they are a loop without an early stop."""

JETS_PER_THREAD = 512
"""Fewer jets than this are not worth a thread."""


class VertexFit(nn.Module):
    """Position (B, 3), covariance (B, 9), chi2 (B, 1), momenta (B, N, 3) and status (B, 1); with K weights a track
    (B, K, 3), (B, K, 9), (B, K, 1), (B, N, 3 K) and (B, K, 1).

    Args:
        names: what the inputs are, of `tracks`, `errors`, `weights`, `prior`, `prior_errors`, `seed`.
        single: there is one vertex, and no axis for more.
        mode, tolerance, max_iterations, sandwich: as those of `engine_kernels.vertex_fit`.
        double: fit in float64, not float32.
        clip: positions end at +- this, mm; None for no end.
    """

    def __init__(
        self, names: tuple[str, ...], *, single: bool, mode: str, double: bool, clip: float | None, tolerance: float,
        max_iterations: int | None, sandwich: bool | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.names, self.single, self.clip = names, single, clip
        self.ndive = mode == "ndive"
        self.dtype = torch.float64 if double else torch.float32
        self.tolerance = tolerance
        self.max_iterations = max_iterations or (10 if self.ndive else 20)
        self.sandwich = not self.ndive if sandwich is None else sandwich

    def forward(self, values: Values) -> Values:
        given = dict(zip(self.names, values, strict=True))
        mask = common_mask([given[name] for name in ("tracks", "errors", "weights") if name in given])
        wide = {name: x.to(self.dtype) for name, (x, _) in given.items()}
        tracks, errors = wide["tracks"], spread(wide["errors"], 5)
        weights = wide["weights"].transpose(1, 2) if "weights" in wide else torch.ones_like(tracks[..., 0]).unsqueeze(1)
        prior = None
        if "prior" in wide:
            prior = Prior(wide["prior"], information(wide["prior_errors"]))
        with torch.autocast(tracks.device.type, enabled=False):
            run = self.written_out if torch.onnx.is_in_onnx_export() else self.fit
            solution = run(tracks, errors, weights, mask, prior, wide.get("seed"))
        return self.results(solution, mask)

    def fit(
        self, tracks: Tensor, errors: Tensor, weights: Tensor, mask: Tensor | None, prior: Prior | None,
        seed: Tensor | None,
    ) -> Solution:  # fmt: skip
        """By the operator."""
        threads = 1
        if not torch.compiler.is_compiling():
            threads = max(1, min(torch.get_num_threads(), tracks.shape[0] // JETS_PER_THREAD))
        fit = vertex_fit(
            tracks, errors, weights, mask, prior=prior, mode="ndive" if self.ndive else "exact",
            tolerance=self.tolerance, max_iterations=self.max_iterations, seed=seed, sandwich=self.sandwich,
            threads=threads,
        )  # fmt: skip
        return Solution(*fit)

    def written_out(
        self, tracks: Tensor, errors: Tensor, weights: Tensor, mask: Tensor | None, prior: Prior | None,
        seed: Tensor | None,
    ) -> Solution:  # fmt: skip
        """By operations of torch alone."""
        axes = (tracks.shape[0], weights.shape[1])
        position = None if prior is None else prior.position.unsqueeze(1).expand(*axes, 3)
        inverse = None if prior is None else prior.information.unsqueeze(1).expand(*axes, 3, 3)
        start = None if seed is None else seed.unsqueeze(1).expand(*axes, 3)
        steps = EXPORTED_ITERATIONS if is_tracing() else fitting.EXPORTED_ITERATIONS  # type: ignore[no-untyped-call]
        problem = Problem(
            tracks, errors, weights, mask, None, position, inverse, start, self.ndive, self.sandwich, self.tolerance,
            self.max_iterations, 1,
        )  # fmt: skip
        return fitting.unrolled(problem, steps)

    def results(self, solution: Solution, mask: Tensor | None) -> Values:
        """The outputs in float32."""
        vertex, covariance, chi2, momenta, status = (each.float() for each in solution)
        if self.clip is not None:
            vertex = vertex.clamp(-self.clip, self.clip)
        rows = [vertex, covariance.flatten(-2), chi2.unsqueeze(-1), status.unsqueeze(-1)]
        if self.single:
            rows = [each.squeeze(1) for each in rows]
        made: list[Value] = [(each, None) for each in rows]
        return [*made[:3], (momenta.transpose(1, 2).flatten(-2), mask), made[3]]


class Extrapolate(nn.Module):
    """Perigee parameters (B, N, 5) about a point of each row, and the points of closest approach (B, N, 3) to it."""

    def __init__(self, *, double: bool) -> None:
        super().__init__()
        self.dtype = torch.float64 if double else torch.float32

    def forward(self, values: Values) -> Values:
        (tracks, mask), (point, _) = values
        tracks, point = tracks.to(self.dtype), point.to(self.dtype)
        with torch.autocast(tracks.device.type, enabled=False):
            if torch.onnx.is_in_onnx_export():
                perigee = helix.forward(tracks, point, mask, None, portable.atan2)
            else:
                perigee = extrapolate(tracks, point, mask)
            d0, z0, phi = perigee[..., 0], perigee[..., 1], perigee[..., 2]
            nearest = torch.stack([d0 * torch.sin(phi), -d0 * cosine(phi), z0], dim=-1) + point.unsqueeze(1)
        if mask is not None:
            nearest = torch.where(mask.unsqueeze(-1), nearest, 0.0)
        return [(perigee.float(), mask), (nearest.float(), mask)]


def spread(errors: Tensor, size: int) -> Tensor:
    """Variances (..., n) of standard deviations, whose sign does not count; a covariance (..., n, n) of its numbers."""
    if errors.shape[-1] == size:
        return errors.square()
    if errors.shape[-1] == size * size:
        return errors.reshape(*errors.shape[:-1], size, size)
    place = {pair: i for i, pair in enumerate((i, j) for i in range(size) for j in range(i, size))}
    order = [place[min(i, j), max(i, j)] for i in range(size) for j in range(size)]
    return errors[..., order].reshape(*errors.shape[:-1], size, size)


def information(errors: Tensor) -> Tensor:
    """Inverse covariance (B, 3, 3) of three values with errors as `spread` takes them, written out for export."""
    found = spread(errors, 3)
    if found.dim() == errors.dim():
        return torch.diag_embed(1 / found)
    a, b, c = found.unbind(-2)
    rows = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    inverse: Tensor = torch.stack(rows, dim=-1) / (a * rows[0]).sum(-1)[..., None, None]
    return inverse
