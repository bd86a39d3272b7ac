"""Every function of the expression grammar through ONNX in float64: the values that preparation computes with NumPy."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from engine.data.values import FLAT_FUNCTIONS, Grouping, Values
from engine.export.onnx import quiet, run_onnx
from engine.export.padded import PADDED_FUNCTIONS, Padded
from engine.graph.modules.activations import FUNCTIONS as FUNCTIONS_OF_LAYERS
from engine.graph.portable import atan, atan2
from engine.spec.functions import FUNCTIONS

NAN, INF = float("nan"), float("inf")
X = torch.tensor([[1.5, -2.5, 0.0, 2.5], [3.0, NAN, -7.0, 0.2], [1e-3, 40.0, -1e-9, 0.7]], dtype=torch.float64)
Y = torch.tensor([[0.5, 2.0, -3.0, 0.0], [1.0, 2.0, 3.0, 4.0], [-1e3, -0.1, 7.0, 0.2]], dtype=torch.float64)
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
GROUPING = Grouping("objects", np.array([0, 4, 7, 11]))
OPERATORS = {name: getattr(operator, name) for name in ("add", "truediv", "mod", "pow", "le", "eq")}


class Applied(nn.Module):
    """One function of padded objects."""

    def __init__(self, function: Callable[..., Any], arity: int) -> None:
        super().__init__()
        self.function, self.arity = function, arity

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        arguments = [Padded(tensor, mask) for tensor in (x, y, x * 0.5, y + 1)]
        result: Tensor = self.function(*arguments[: self.arity]).tensor.double()
        return result


def through_onnx(module: nn.Module, path: Path) -> np.ndarray[Any, Any]:
    """What the runtime makes of the arguments, written with other numbers of rows and objects."""
    example = (torch.ones(2, 3).double(), torch.ones(2, 3).double(), torch.ones(2, 3, dtype=torch.bool))
    axes = {name: {0: "rows", 1: "objects"} for name in ("x", "y", "mask")}
    with quiet():
        torch.onnx.export(
            module, example, path, dynamo=False, opset_version=18,
            input_names=["x", "y", "mask"], output_names=["z"], dynamic_axes=axes,
        )  # fmt: skip
    onnx.checker.check_model(path)
    used = {node.op_type for node in onnx.load(path).graph.node}
    assert not used & {"Cos", "Tan", "Sinh", "Cosh", "Asinh", "Atan"}, "of float64 not in every onnxruntime"
    return run_onnx(path, {"x": X, "y": Y, "mask": MASK}, ["z"])["z"]


def flat(tensor: Tensor) -> Values:
    """Padded values as preparation has them."""
    return Values(tensor.numpy()[MASK.numpy()], GROUPING)


def check(padded: Callable[..., Any], prepared: Callable[..., Any], arity: int, path: Path) -> None:
    """The runtime's values are those of preparation, also where they are not numbers."""
    with np.errstate(all="ignore"):
        expected = np.asarray(prepared(*[flat(X), flat(Y), flat(X * 0.5), flat(Y + 1)][:arity]).array, dtype=float)
    found = through_onnx(Applied(padded, arity), path)
    found = found[MASK.numpy()] if found.shape == tuple(MASK.shape) else found.reshape(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_in_onnx_gives_what_preparation_gives(name: str, tmp_path: Path) -> None:
    arity = FUNCTIONS[name].arity[0]
    check(PADDED_FUNCTIONS[name], FLAT_FUNCTIONS[name], arity, tmp_path / "function.onnx")


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_in_onnx_gives_what_preparation_gives(name: str, tmp_path: Path) -> None:
    check(OPERATORS[name], OPERATORS[name], 2, tmp_path / "operator.onnx")


def test_the_inverse_tangents_made_for_onnx_are_exact() -> None:
    values = torch.cat([torch.logspace(-12, 12, 2001).double(), torch.tensor([0.0, 1.0, INF]).double()])
    values = torch.cat([values, -values])
    torch.testing.assert_close(atan(values), torch.atan(values), rtol=1e-15, atol=0)
    y, x = values[::7, None], values[None, ::11]
    torch.testing.assert_close(atan2(y, x), torch.atan2(y, x), rtol=1e-15, atol=0)


def test_small_values_of_a_sigmoid_keep_their_digits(tmp_path: Path) -> None:
    """The sigmoid of the runtime is good to 1e-7, not to a part of that; a vertex fit feels ratios of small weights."""
    x = torch.linspace(-60, 20, 161).reshape(1, -1)
    with quiet():
        torch.onnx.export(
            Applied(lambda value: Padded(FUNCTIONS_OF_LAYERS["sigmoid"](value.tensor), MASK), 1), (x, x, x > 0),
            tmp_path / "sigmoid.onnx", dynamo=False, opset_version=18, input_names=["x", "y", "mask"],
            output_names=["z"],
        )  # fmt: skip
    found = run_onnx(tmp_path / "sigmoid.onnx", {"x": x}, ["z"])["z"]
    np.testing.assert_allclose(found, torch.sigmoid(x.double()).numpy(), rtol=3e-6)
