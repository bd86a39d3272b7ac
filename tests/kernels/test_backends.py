"""Which implementation is taken, and what is said about it."""

from __future__ import annotations

import pytest
from engine_kernels import backends
from engine_kernels.gather.api import Gather
from engine_kernels.sanitize.transforms import FeatureTransform


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "native", lambda: (None, "the package was installed without its compiled module"))
    monkeypatch.delenv(backends.VARIABLE, raising=False)


@pytest.mark.parametrize("name", ["numba", "reference"])
def test_the_environment_forces_an_implementation(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(backends.VARIABLE, name)
    assert Gather([], [FeatureTransform()]).choice.implementation == name
    assert str(backends.choose("gather")) == f"{name}: ENGINE_KERNELS is set"


def test_an_unknown_implementation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backends.VARIABLE, "fortran")
    with pytest.raises(backends.BackendError, match="no implementation 'fortran'"):
        backends.choose("gather")


@pytest.mark.usefixtures("without_native")
def test_numba_takes_over_without_the_compiled_module() -> None:
    choice = backends.choose("sanitize")
    assert choice.implementation == "numba"
    assert "without its compiled module" in choice.reason
    with pytest.raises(backends.BackendError, match="native implementation of sanitize was asked for"):
        backends.choose("sanitize", "native")


@pytest.mark.usefixtures("without_native")
def test_the_reference_takes_over_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_numba", lambda: "numba does not load (no LLVM)")
    choice = backends.choose("gather")
    assert choice.implementation == "reference"
    assert "no LLVM" in choice.reason


def test_the_report_has_a_line_for_every_kernel_and_for_cuda() -> None:
    report = dict(backends.report())
    assert set(report) == {*backends.KERNELS, "cuda"}
    module, _ = backends.native()
    if module is not None and "gather" in module.kernels:
        assert report["gather"].startswith("native: built for ")
        assert "running " in report["gather"]
