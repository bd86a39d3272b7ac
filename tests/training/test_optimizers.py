"""Optimizers against torch.optim, and against the formulas of Keras written out with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from engine.spec.sections import ChoiceSpec
from engine.training.optimizers import CONVENTIONS, OPTIMIZERS, make_optimizer

STEPS = 25


def gradients() -> np.ndarray:
    return np.random.default_rng(5).normal([0.3, 0.0, -10.0], [1.0, 1e-3, 30.0], size=(STEPS, 3))


def moved(choice: ChoiceSpec, conventions: str, dtype: torch.dtype = torch.float64) -> np.ndarray:
    parameter = Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=dtype))
    optimizer = make_optimizer(choice, [parameter], conventions)
    for gradient in gradients():
        parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.step()
    return parameter.detach().numpy()


def of_torch(kind: type[torch.optim.Optimizer], **options: Any) -> np.ndarray:
    parameter = Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    optimizer = kind([parameter], **options)
    for gradient in gradients():
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize(
    ("choice", "kind", "options"),
    [
        ({"sgd": {"lr": 0.1}}, torch.optim.SGD, {"lr": 0.1}),
        ({"sgd": {"momentum": 0.9}}, torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
        (
            {"sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}},
            torch.optim.SGD,
            {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        ),
        ({"adam": {}}, torch.optim.Adam, {}),
        ({"adam": {"amsgrad": True, "beta1": 0.8}}, torch.optim.Adam, {"amsgrad": True, "betas": (0.8, 0.999)}),
        ({"adam": {"weight_decay": 0.1, "eps": 1e-3}}, torch.optim.Adam, {"weight_decay": 0.1, "eps": 1e-3}),
        ({"adamw": {}}, torch.optim.AdamW, {}),
        ({"adamw": {"weight_decay": 0.3}}, torch.optim.AdamW, {"weight_decay": 0.3}),
        ({"nadam": {"lr": 8e-4}}, torch.optim.NAdam, {"lr": 8e-4}),
        ({"nadam": {"momentum_decay": 1.0, "lr": 0.1}}, torch.optim.NAdam, {"momentum_decay": 1.0, "lr": 0.1}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) and value else "",
)
def test_with_torch_conventions_every_step_is_that_of_torch(
    choice: dict[str, dict[str, Any]], kind: type[torch.optim.Optimizer], options: dict[str, Any]
) -> None:
    ((name, given),) = choice.items()  # torch keeps the momentum product of NAdam in single precision
    np.testing.assert_allclose(moved(ChoiceSpec(name, given, ()), "torch"), of_torch(kind, **options), rtol=5e-9)


def test_nadam_with_keras_conventions_follows_the_formula_of_keras() -> None:
    weights, mean, square, product = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3), 1.0
    for step, gradient in enumerate(gradients(), 1):
        now, following = (0.9 * (1 - 0.5 * 0.96**each) for each in (step, step + 1))
        product *= now
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        m_hat = following * mean / (1 - product * following) + (1 - now) * gradient / (1 - product)
        weights = weights - 8e-4 * m_hat / (np.sqrt(square / (1 - 0.999**step)) + 1e-7)
    np.testing.assert_allclose(moved(ChoiceSpec("nadam", {"lr": 8e-4}, ()), "keras"), weights, rtol=1e-12)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_with_keras_conventions_adds_epsilon_before_the_bias_correction(amsgrad: bool) -> None:
    weights, mean, square, largest = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(gradients(), 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        largest = np.maximum(largest, square)
        alpha = 1e-3 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights = weights - alpha * mean / (np.sqrt(largest if amsgrad else square) + 1e-4)
    choice = ChoiceSpec("adam", {"amsgrad": amsgrad, "eps": 1e-4}, ())
    np.testing.assert_allclose(moved(choice, "keras"), weights, rtol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_novograd_divides_each_tensor_by_the_norm_of_its_gradient(decay: float) -> None:
    """Against the formulas of the paper, tensor by tensor, in double precision."""
    starts = [np.array([1.0, -2.0, 3.0]), np.array([[0.5, 4.0]])]
    noise = np.random.default_rng(8)
    steps = [
        [noise.normal(size=start.shape) * (10.0 if number % 5 else 0.0) for start in starts] for number in range(20)
    ]
    parameters = [Parameter(torch.tensor(start)) for start in starts]
    choice = ChoiceSpec("novograd", {"lr": 0.02, "beta1": 0.95, "beta2": 0.5, "eps": 1e-3, "weight_decay": decay}, ())
    optimizer = make_optimizer(choice, parameters, "keras")
    weights, mean, square = [start.copy() for start in starts], [0.0, 0.0], [0.0, 0.0]
    for number, step in enumerate(steps):
        for i, gradient in enumerate(step):
            norm = float((gradient**2).sum())
            square[i] = norm if number == 0 else 0.5 * square[i] + 0.5 * norm
            mean[i] = 0.95 * mean[i] + gradient / (np.sqrt(square[i]) + 1e-3) + decay * weights[i]
            weights[i] = weights[i] - 0.02 * mean[i]
            parameters[i].grad = torch.tensor(gradient)
        optimizer.step()
    for parameter, expected in zip(parameters, weights, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_that_forgets_begins_anew(kind: str) -> None:
    choice = ChoiceSpec(kind, {"momentum": 0.9} if kind == "sgd" else {}, ())
    used, fresh = (Parameter(torch.tensor([1.0, -2.0, 3.0])) for _ in range(2))
    optimizer = make_optimizer(choice, [used], "keras")
    for gradient in gradients():
        used.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
    optimizer.forget()
    fresh.data.copy_(used.data)
    other = make_optimizer(choice, [fresh], "keras")
    for gradient in gradients():
        for parameter, each in ((used, optimizer), (fresh, other)):
            parameter.grad = torch.tensor(gradient, dtype=torch.float32)
            each.step()
    assert torch.equal(used, fresh)


def test_null_takes_the_default_of_the_conventions() -> None:
    choice = ChoiceSpec("adamw", {"eps": None, "weight_decay": None}, ())
    parameter = [Parameter(torch.zeros(1))]
    assert make_optimizer(choice, parameter, "keras").options["weight_decay"] == 4e-3
    assert make_optimizer(choice, parameter, "torch").options["weight_decay"] == 1e-2
    assert make_optimizer(choice, parameter, "keras").options["eps"] == 1e-7


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_restored_optimizer_goes_on_bit_for_bit(kind: str) -> None:
    choice = ChoiceSpec(kind, {"momentum": 0.9} if kind == "sgd" else {}, ())
    whole = moved(choice, "keras", torch.float32)
    parameter = Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = make_optimizer(choice, [parameter], "keras")
    for number, gradient in enumerate(gradients()):
        if number == 11:
            state = optimizer.state()
            optimizer = make_optimizer(choice, [parameter], "keras")
            optimizer.restore(state)
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
    assert (parameter.detach().numpy() == whole).all()


def test_the_state_of_another_optimizer_is_refused() -> None:
    parameter = [Parameter(torch.zeros(2))]
    adam, sgd = (make_optimizer(ChoiceSpec(kind, {}, ()), parameter, "keras") for kind in ("adam", "sgd"))
    with pytest.raises(ValueError, match="state of the optimizer Adam, not of SGD"):
        sgd.restore(adam.state())
    with pytest.raises(ValueError, match="moved other parameters"):
        make_optimizer(ChoiceSpec("adam", {}, ()), [Parameter(torch.zeros(3))], "keras").restore(adam.state())


def test_a_parameter_without_gradient_stays() -> None:
    used, unused = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    used.grad = torch.ones(2)
    make_optimizer(ChoiceSpec("adamw", {}, ()), [used, unused], "keras").step()
    assert (unused == 1).all()
    assert (used < 1).all()


def test_both_conventions_know_every_optimizer() -> None:
    assert all(table.keys() == OPTIMIZERS.keys() for table in CONVENTIONS.values())
