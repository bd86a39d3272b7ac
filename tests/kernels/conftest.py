"""What the tests of the kernels share: every implementation of a kernel, one after another, and every device.

Where a CUDA device is available, `cuda` is one of the implementations: new tensors of such a test lie on the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from engine_kernels import backends

IMPLEMENTATIONS = ["reference", "numba", "native", "cuda"]


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The implementation that the kernels use during the test; skipped where it is not installed."""
    yield from using(request.param, monkeypatch)


@pytest.fixture(params=IMPLEMENTATIONS[1:])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Like `implementation`, without the reference."""
    yield from using(request.param, monkeypatch)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The native implementation; skipped where it is not installed."""
    yield from using("native", monkeypatch)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each kind of device; skipped where there is none."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device is available")
    return torch.device(request.param)


@pytest.fixture(params=["compiled", "reference"])
def kernels_of_device(request: pytest.FixtureRequest, device: torch.device, monkeypatch: pytest.MonkeyPatch) -> str:
    """The compiled kernels of the device, then operations of torch on it."""
    if (
        request.param == "compiled"
        and device.type == "cuda"
        and backends.choose_cuda("gather").implementation != "cuda"
    ):
        pytest.skip(f"a CUDA device, but no kernels for it: {backends.cuda()}")
    if request.param == "reference":
        monkeypatch.setenv(backends.VARIABLE, "reference")
    return str(request.param)


def using(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Force an implementation as a user would: through the environment, or by where the tensors are."""
    if name == "cuda":
        yield from using_cuda(monkeypatch)
        return
    module, why = backends.native()
    if name == "native" and (module is None or "vertex_fit" not in module.kernels):
        pytest.skip(why)
    monkeypatch.setenv(backends.VARIABLE, name)
    yield name


def using_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The CUDA kernels, with every new tensor on the device."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is available")
    monkeypatch.delenv(backends.VARIABLE, raising=False)
    if backends.choose_cuda("vertex_fit").implementation != "cuda":
        pytest.skip(f"a CUDA device, but no kernels for it: {backends.cuda()}")
    torch.set_default_device("cuda")
    try:
        yield "cuda"
    finally:
        torch.set_default_device(None)
