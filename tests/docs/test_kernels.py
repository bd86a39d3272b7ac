"""The page on the kernels as a physicist types it in: what is printed is compared, with every implementation."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from engine_kernels import backends


@pytest.mark.parametrize("implementation", backends.IMPLEMENTATIONS)
def test_the_page_on_the_kernels_works_as_it_stands(
    repository: Path, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        backends.choose("vertex_fit", implementation)
    except backends.BackendError as error:
        pytest.skip(str(error))
    monkeypatch.setenv(backends.VARIABLE, implementation)
    page = repository / "docs" / "kernels.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS, encoding="utf-8")
    assert tried >= 30
    assert not failed
