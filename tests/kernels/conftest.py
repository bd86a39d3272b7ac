"""What the tests of the kernels share: every implementation of a kernel, one after another."""

from __future__ import annotations

import pytest
from engine_kernels import backends

IMPLEMENTATIONS = ["reference", "numba", "native"]


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The implementation that the kernels use during the test; skipped where it is not installed."""
    return use(request.param, monkeypatch)


@pytest.fixture(params=["numba", "native"])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Like `implementation`, without the reference."""
    return use(request.param, monkeypatch)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> str:
    """The native implementation; skipped where it is not installed."""
    return use("native", monkeypatch)


def use(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Force an implementation through the environment, as a user would."""
    module, why = backends.native()
    if name == "native" and (module is None or "vertex_fit" not in module.kernels):
        pytest.skip(why)
    monkeypatch.setenv("ENGINE_KERNELS", name)
    return name
