"""Which derivatives a kernel has: reverse mode, once. The others are refused; without that they would be zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

Backward = Callable[..., tuple[Tensor | None, ...]]


def check_derivatives(name: str, *tensors: Tensor | None) -> None:
    """Raise where the caller differentiates by a transformation that does not go through the kernel.

    Raises:
        NotImplementedError: forward mode, or a gradient of torch.func; the sentence says what to use.
    """
    if forward_ad._current_level >= 0:  # type: ignore[attr-defined]
        _check_tangents(name, tensors)
    if torch.compiler.is_compiling():
        return
    if not torch._C._are_functorch_transforms_active() or not torch.is_grad_enabled():
        return
    if any(tensor is not None and tensor.requires_grad for tensor in tensors):
        raise NotImplementedError(
            f"the gradients of torch.func (grad, vjp, jacrev, hessian) do not go through {name}: "
            "use torch.autograd.grad or torch.autograd.functional.jacobian, which may be given vectorize=True"
        )


def _check_tangents(name: str, tensors: Iterable[Tensor | None]) -> None:
    if any(tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors):
        raise NotImplementedError(
            f"{name} has no forward-mode derivatives (torch.func.jvp, jacfwd, torch.autograd.forward_ad): "
            "use torch.autograd.grad or torch.autograd.functional.jacobian"
        )


def without_second(name: str, backward: Backward, ctx: Any, cotangents: Sequence[Tensor | None]) -> Any:
    """A backward pass of which a graph is asked for: its gradients raise where they are differentiated again.

    torch's `once_differentiable` looks at the cotangents alone: under a constant one a second derivative would be zero.
    """
    with torch.no_grad():
        gradients = backward(ctx, *cotangents)
    return _Last.apply(name, gradients, *cotangents, *ctx.saved_tensors)


class _Last(torch.autograd.Function):
    """Gradients as they are; they depend on `sources` in a way that is not known."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, gradients: tuple[Tensor | None, ...], *sources: Tensor | None) -> tuple[Tensor | None, ...]:
        # Copies, which the caller may change in place: what is made of a view in here may not be.
        return tuple(None if gradient is None else gradient.clone() for gradient in gradients)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.name = inputs[0]

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(
            f"{ctx.name} has first derivatives only: detach() its gradient before it enters what is differentiated"
        )
