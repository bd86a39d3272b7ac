"""sanitize as operators of torch: schema, fake, autograd and mixed-precision rule, for the processor and CUDA devices.

`sanitize` gives a new tensor, `sanitize_` writes into the one that it is given. The transforms come as three tensors,
`Packed`, which `pack` makes of a Layout; `tensors.TensorSanitizer` keeps them on each device.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import backends
from ..streams import on_device_of, stream_of
from .api import Sanitizer
from .layout import Layout, dtype_code
from .reference import transform_columns

FLAGS = ("absolute", "log1p", "one_hot")
NUMBERS = ("low", "high", "scale", "offset", "fill", "value")
_COLUMNS = "Tensor source, Tensor flags, Tensor numbers"
_LIBRARY = torch.library.Library("engine_kernels", "FRAGMENT")
_LIBRARY.define(f"sanitize(Tensor values, {_COLUMNS}) -> Tensor")
_LIBRARY.define(f"sanitize_(Tensor(a!) values, {_COLUMNS}) -> ()")


class Packed(NamedTuple):
    """The columns of a Layout: source int32 (W,), flags uint8 (3, W), numbers float32 (6, W), as in FLAGS, NUMBERS."""

    source: Tensor
    flags: Tensor
    numbers: Tensor


def pack(layout: Layout) -> Packed:
    """The columns of a layout as tensors of the processor."""
    columns = layout.columns
    flags = np.stack([columns[name] for name in FLAGS])
    numbers = np.stack([columns[name] for name in NUMBERS])
    return Packed(torch.from_numpy(columns["source"].copy()), torch.from_numpy(flags), torch.from_numpy(numbers))


def addresses(packed: Packed) -> list[int]:
    """Where the ten arrays of EngineColumns are."""
    parts = [packed.source, *packed.flags.unbind(0), *packed.numbers.unbind(0)]
    return [part.data_ptr() for part in parts]


def storage_code(values: Tensor) -> int:
    """The number of a tensor's type in the C interface.

    Raises:
        ValueError: values of this type cannot be read.
    """
    if values.dtype == torch.bool:
        return dtype_code(np.dtype(np.uint8))
    try:
        return dtype_code(np.dtype(str(values.dtype).removeprefix("torch.")))
    except TypeError as error:
        raise ValueError(f"values stored as {values.dtype} cannot be read by sanitize") from error


def checked_error(code: int) -> None:
    """Raise where a CUDA launch failed.

    Raises:
        RuntimeError: with CUDA's own words.
    """
    if code:
        raise RuntimeError(f"a CUDA kernel could not be started: {backends.native_module().cuda_error(code)}")


def _check(values: Tensor, packed: Packed) -> None:
    width = packed.source.shape[0]
    if packed.flags.shape != (len(FLAGS), width) or packed.numbers.shape != (len(NUMBERS), width):
        raise ValueError(f"flags and numbers must have {len(FLAGS)} and {len(NUMBERS)} rows of {width} columns")
    if values.dim() < 1:
        raise ValueError("values need an axis of features")
    storage_code(values)


def _forward(values: Tensor, source: Tensor, flags: Tensor, numbers: Tensor) -> Tensor:
    packed = Packed(source.contiguous(), flags.contiguous(), numbers.contiguous())
    _check(values, packed)
    out = values.new_empty((*values.shape[:-1], source.shape[0]), dtype=torch.float32)
    _into(values.contiguous(), packed, out)
    return out


def _in_place(values: Tensor, source: Tensor, flags: Tensor, numbers: Tensor) -> None:
    packed = Packed(source.contiguous(), flags.contiguous(), numbers.contiguous())
    _check(values, packed)
    if values.dtype != torch.float32 or not values.is_contiguous() or source.shape[0] != values.shape[-1]:
        raise ValueError("in place, values must be contiguous float32 with a column for each feature")
    if values.is_cuda:
        _into(values, packed, values)
    else:
        values.copy_(_forward(values, source, flags, numbers))


def _into(values: Tensor, packed: Packed, out: Tensor) -> None:
    """Fill `out`, contiguous; it may be `values` where column i is feature i."""
    if values.is_cuda:
        if backends.choose_cuda("sanitize").implementation == "cuda":
            return _launch(values, packed, out)
    elif backends.choose("sanitize").implementation != "reference":
        key = tuple(part.numpy().tobytes() for part in packed)
        rows = values.detach().reshape(-1, values.shape[-1])
        made = _sanitizer(values.shape[-1], *key, backends.choose("sanitize").implementation)(rows.numpy())
        out.copy_(torch.from_numpy(made).reshape(out.shape))
        return None
    out.copy_(transform_columns(values, packed.source, packed.flags.bool(), packed.numbers))
    return None


def _launch(values: Tensor, packed: Packed, out: Tensor) -> None:
    features, width = values.shape[-1], packed.source.shape[0]
    objects = values.numel() // features if features else 0
    code, columns, stream = storage_code(values), addresses(packed), stream_of(values)
    with on_device_of(values):
        error = backends.native_module().sanitize_cuda(
            features, columns, width, code, values.data_ptr(), objects, out.data_ptr(), stream
        )
    checked_error(error)


@lru_cache(maxsize=64)
def _sanitizer(features: int, source: bytes, flags: bytes, numbers: bytes, implementation: str) -> Sanitizer:
    """The processor's form of the columns: making it takes longer than a small batch."""
    columns: dict[str, Any] = {"source": np.frombuffer(source, dtype=np.int32)}
    columns.update(zip(FLAGS, np.frombuffer(flags, dtype=np.uint8).reshape(len(FLAGS), -1), strict=True))
    columns.update(zip(NUMBERS, np.frombuffer(numbers, dtype=np.float32).reshape(len(NUMBERS), -1), strict=True))
    return Sanitizer.of_layout(Layout(features, columns), implementation)


def _fake(values: Tensor, source: Tensor, flags: Tensor, numbers: Tensor) -> Tensor:
    return values.new_empty((*values.shape[:-1], source.shape[0]), dtype=torch.float32)


def _fake_in_place(values: Tensor, source: Tensor, flags: Tensor, numbers: Tensor) -> None:
    return None


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
    """scale, times the slopes of |x| and log(1 + |x|); 0 where the value was filled, clipped or compared."""
    values, source, flags, numbers = ctx.saved_tensors
    if not values.is_floating_point():
        return None, None, None, None
    absolute, log1p, one_hot = flags.bool().unbind(0)
    low, high, scale, offset, _, _ = numbers.unbind(0)
    raw = values.float().index_select(-1, source.long())
    x = torch.where(absolute, raw.abs(), raw)
    slope = torch.where(absolute, raw.sign(), 1.0) * torch.where(log1p, 1 / (1 + x), 1.0)
    x = torch.where(log1p, torch.log1p(x), x)
    inside = (x > low) & (x < high) & torch.isfinite(raw) & torch.isfinite(x * scale + offset) & ~one_hot
    made = torch.where(inside, cotangent * slope * scale, 0.0)
    gradient = torch.zeros_like(values, dtype=torch.float32).index_add(-1, source.long(), made)
    return gradient.to(values.dtype), None, None, None


def _autocast(device: str) -> Any:
    """Mixed precision: the transforms need float32, which is what comes out; bfloat16 is widened."""

    def widen(values: Tensor, *columns: Tensor) -> Tensor:
        with torch.autocast(device, enabled=False):
            wide = values.float() if values.dtype == torch.bfloat16 else values
            out: Tensor = torch.ops.engine_kernels.sanitize(wide, *columns)
            return out

    return widen


for _device in ("CPU", "CUDA"):
    _LIBRARY.impl("sanitize", _forward, _device)
    _LIBRARY.impl("sanitize_", _in_place, _device)
    _LIBRARY.impl("sanitize", _autocast(_device.lower()), f"Autocast{_device}")
torch.library.register_fake("engine_kernels::sanitize", _fake, lib=_LIBRARY)
torch.library.register_fake("engine_kernels::sanitize_", _fake_in_place, lib=_LIBRARY)
torch.library.register_autograd("engine_kernels::sanitize", _differentiate, setup_context=_save, lib=_LIBRARY)
