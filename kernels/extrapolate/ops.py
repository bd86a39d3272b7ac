"""The extrapolation as operators of torch: schema, fake, autograd and mixed-precision rule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import backends
from ..derivatives import check_derivatives, without_second
from ..inputs import check_offsets
from . import native

_LIBRARY = torch.library.Library("engine_kernels", "FRAGMENT")
_INPUTS = "Tensor tracks, Tensor points, Tensor? mask, Tensor? offsets"
_LIBRARY.define(f"extrapolate({_INPUTS}) -> Tensor")
_LIBRARY.define(f"extrapolate_backward(Tensor cotangent, {_INPUTS}) -> (Tensor, Tensor)")


def implementation(cuda: bool) -> Any:
    """The module (native, numba, reference) that runs tensors of the processor or of a CUDA device."""
    name = (backends.choose_cuda if cuda else backends.choose)("extrapolate").implementation
    if name in ("native", "cuda"):
        return native
    if name == "numba":
        from . import numba

        return numba
    from . import reference

    return reference


def _ready(tensors: tuple[Tensor | None, ...]) -> list[Any]:
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def _forward(*tensors: Tensor | None) -> Tensor:
    inputs = _ready(tensors)
    if inputs[-1] is not None:
        check_offsets(inputs[-1], inputs[0].shape[0])
    out: Tensor = implementation(inputs[0].is_cuda).forward(*inputs)
    return out


def _backward(*tensors: Tensor | None) -> tuple[Tensor, Tensor]:
    inputs = _ready(tensors)
    out: tuple[Tensor, Tensor] = implementation(inputs[0].is_cuda).backward(*inputs)
    return out


def _fake_forward(tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None) -> Tensor:
    return torch.empty_like(tracks, memory_format=torch.contiguous_format)


def _fake_backward(cotangent: Tensor, tracks: Tensor, points: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    like = torch.contiguous_format
    return torch.empty_like(tracks, memory_format=like), torch.empty_like(points, memory_format=like)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, cotangent: Tensor) -> Any:
    if torch.is_grad_enabled():
        return without_second("extrapolate", _differentiate, ctx, [cotangent])
    check_derivatives("extrapolate", cotangent)
    to_tracks, to_points = torch.ops.engine_kernels.extrapolate_backward(cotangent, *ctx.saved_tensors)
    return to_tracks, to_points, None, None


def _autocast(device: str) -> Any:
    """Mixed precision: half-precision inputs are widened to float32."""

    def widen(tracks: Tensor, points: Tensor, mask: Tensor | None, offsets: Tensor | None) -> Any:
        wide = torch.float64 if tracks.dtype == points.dtype == torch.float64 else torch.float32
        with torch.autocast(device, enabled=False):
            return torch.ops.engine_kernels.extrapolate(tracks.to(wide), points.to(wide), mask, offsets)

    return widen


for _device in ("CPU", "CUDA"):
    _LIBRARY.impl("extrapolate", _forward, _device)
    _LIBRARY.impl("extrapolate_backward", _backward, _device)
    _LIBRARY.impl("extrapolate", _autocast(_device.lower()), f"Autocast{_device}")
torch.library.register_fake("engine_kernels::extrapolate", _fake_forward, lib=_LIBRARY)
torch.library.register_fake("engine_kernels::extrapolate_backward", _fake_backward, lib=_LIBRARY)
torch.library.register_autograd("engine_kernels::extrapolate", _differentiate, setup_context=_save, lib=_LIBRARY)
