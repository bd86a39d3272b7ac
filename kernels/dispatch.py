"""Whether torch's dispatcher would find anything but autograd and the processor on its way to a kernel."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter


def _keys(*names: str) -> int:
    keys = reduce(or_, (torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name)) for name in names))
    return int(keys.raw_repr())


_TENSOR = _keys("CPU", "ADInplaceOrView", "AutogradCPU", "AutocastCPU")
_THREAD = _keys("BackendSelect", "ADInplaceOrView")


def plain(arguments: Iterable[Any]) -> bool:
    """True where no compiler, trace, transformation, mode or subclass of tensors, nor mixed precision, has a say.

    Then an operator's own function may be called at once, which saves a fourth of what torch adds to a small fit.
    """
    return (
        not torch.compiler.is_compiling()
        and forward_ad._current_level < 0  # type: ignore[attr-defined]
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._len_torch_function_stack()
        and torch._C._dispatch_tls_local_include_set().raw_repr() == _THREAD
        and all(_plain(value) for value in arguments if isinstance(value, Tensor))
    )


def _plain(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, Parameter) and torch._C._dispatch_keys(tensor).raw_repr() == _TENSOR
