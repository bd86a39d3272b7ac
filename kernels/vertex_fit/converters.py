"""Track parameters of other conventions, to and from those of the vertex fit.

Here a track is (d0, z0, phi, theta, rho) about (0, 0, 0): the point of closest approach is (d0 sin phi, -d0 cos phi,
z0), lengths in mm, and rho is the signed curvature in 1/mm, positive where the track turns counter-clockwise seen from
+z. A particle of charge q (in units of e) in a field B along +z turns clockwise for q B > 0:

    rho = -2.99792458e-4 * B[T] * q / pT[GeV].

Covariances are carried by the exact Jacobian of each conversion at the track, J V J^T. The field is always an
argument: a curvature without the field it was measured in is not a momentum.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .toys import FIELD_CONSTANT

CURVATURE = FIELD_CONSTANT
Conversion = Callable[[Tensor, float], Tensor]


def _atlas_to(t: Tensor, field: float) -> Tensor:
    """ATLAS and ACTS perigee: d0, z0 (mm), phi, theta (rad), q/p (1/GeV); d0 and the curvature have the opposite
    sign.
    """
    d0, z0, phi, theta, qop = t.unbind(-1)
    return torch.stack([-d0, z0, phi, theta, -CURVATURE * field * qop / torch.sin(theta)], dim=-1)


def _atlas_from(t: Tensor, field: float) -> Tensor:
    d0, z0, phi, theta, rho = t.unbind(-1)
    return torch.stack([-d0, z0, phi, theta, -rho * torch.sin(theta) / (CURVATURE * field)], dim=-1)


def _cms_to(t: Tensor, field: float) -> Tensor:
    """CMS: q/p (1/GeV), lambda, phi (rad), dxy, dsz (cm).

    At the point of closest approach (vx, vy, vz): dxy = -vx sin phi + vy cos phi, dsz = vz cos lambda.
    """
    qop, dip, phi, dxy, dsz = t.unbind(-1)
    cosine = torch.cos(dip)
    return torch.stack(
        [-10 * dxy, 10 * dsz / cosine, phi, torch.pi / 2 - dip, -CURVATURE * field * qop / cosine], dim=-1
    )


def _cms_from(t: Tensor, field: float) -> Tensor:
    d0, z0, phi, theta, rho = t.unbind(-1)
    sine = torch.sin(theta)
    return torch.stack(
        [-rho * sine / (CURVATURE * field), torch.pi / 2 - theta, phi, -0.1 * d0, 0.1 * z0 * sine], dim=-1
    )


def _belle2_to(t: Tensor, field: float) -> Tensor:
    """Belle II: d0 (cm), phi0 (rad), omega (1/cm), z0 (cm), tan lambda; d0 as here, omega > 0 turns clockwise.

    omega is a curvature: the field went into it when the track was fitted, and is not needed again.
    """
    d0, phi, omega, z0, tangent = t.unbind(-1)
    return torch.stack([10 * d0, 10 * z0, phi, torch.pi / 2 - torch.atan(tangent), -0.1 * omega], dim=-1)


def _belle2_from(t: Tensor, field: float) -> Tensor:
    d0, z0, phi, theta, rho = t.unbind(-1)
    return torch.stack([0.1 * d0, phi, -10 * rho, 0.1 * z0, 1 / torch.tan(theta)], dim=-1)


def _delphes_to(t: Tensor, field: float) -> Tensor:
    """Delphes: D0 (mm), DZ (mm), Phi (rad), CtgTheta, q/pT (1/GeV); D0 = (x py - y px)/pT, which is the sign used
    here.
    """
    d0, z0, phi, cotangent, qpt = t.unbind(-1)
    return torch.stack([d0, z0, phi, torch.pi / 2 - torch.atan(cotangent), -CURVATURE * field * qpt], dim=-1)


def _delphes_from(t: Tensor, field: float) -> Tensor:
    d0, z0, phi, theta, rho = t.unbind(-1)
    return torch.stack([d0, z0, phi, 1 / torch.tan(theta), -rho / (CURVATURE * field)], dim=-1)


CONVENTIONS: dict[str, tuple[Conversion, Conversion]] = {
    "atlas": (_atlas_to, _atlas_from),
    "acts": (_atlas_to, _atlas_from),
    "cms": (_cms_to, _cms_from),
    "belle2": (_belle2_to, _belle2_from),
    "delphes": (_delphes_to, _delphes_from),
}
"""Convention -> (to here, from here)."""


def to_engine(
    convention: str, tracks: Tensor, field: float, covariance: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Tracks of another convention in the one of the vertex fit.

    Args:
        convention: one of `CONVENTIONS`.
        tracks: (..., 5) in that convention's order and units; float32 or float64.
        field: along +z, T.
        covariance: (..., 5, 5), or variances (..., 5), in that order and those units.

    Returns:
        Tracks (..., 5), and the covariance (..., 5, 5) or None.

    Raises:
        ValueError: there is no such convention, the field is zero, or shapes or types do not fit.
    """
    return _convert(_pair(convention)[0], tracks, field, covariance)


def from_engine(
    convention: str, tracks: Tensor, field: float, covariance: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The inverse of `to_engine`."""
    return _convert(_pair(convention)[1], tracks, field, covariance)


def _pair(convention: str) -> tuple[Conversion, Conversion]:
    if convention not in CONVENTIONS:
        raise ValueError(f"there is no track convention {convention!r}; choose one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[convention]


def _convert(
    conversion: Conversion, tracks: Tensor, field: float, covariance: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    if field == 0:
        raise ValueError("a field of 0 T bends no track: give the field that the tracks were measured in")
    if tracks.dim() < 1 or tracks.shape[-1] != 5:
        raise ValueError(f"tracks must have the shape (..., 5), not {list(tracks.shape)}")
    if tracks.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"tracks must be float32 or float64, not {tracks.dtype}")
    out = conversion(tracks, field)
    if covariance is None:
        return out, None
    if covariance.shape not in (tracks.shape, (*tracks.shape, 5)):
        raise ValueError(
            f"covariance must have the shape {list(tracks.shape)} or one more 5, not {list(covariance.shape)}"
        )
    if covariance.dtype != tracks.dtype:
        raise ValueError(f"covariance must be {tracks.dtype} as the tracks are, not {covariance.dtype}")
    matrix = torch.diag_embed(covariance) if covariance.shape == tracks.shape else covariance
    jacobian = _jacobian(conversion, tracks, field)
    return out, jacobian @ matrix @ jacobian.mT


def _jacobian(conversion: Conversion, tracks: Tensor, field: float) -> Tensor:
    if tracks.numel() == 0:  # which vmap does not take
        return tracks.new_zeros((*tracks.shape, 5))
    each = torch.func.vmap(torch.func.jacrev(lambda track: conversion(track, field)))
    made: Tensor = each(tracks.reshape(-1, 5))
    return made.reshape(*tracks.shape, 5)
