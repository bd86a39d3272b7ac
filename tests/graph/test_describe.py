"""What `engine blocks` says comes from the schemas and the library, and docs/blocks.md is that."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.graph.describe import describe_block, descriptions, list_blocks
from engine.graph.docs import text
from engine.graph.registry import CONTROL, primitive_blocks


def test_every_block_is_listed_with_its_meaning() -> None:
    listed = list_blocks()
    for name, block in descriptions().items():
        assert f"  {name} " in listed
        assert block.title in listed
    assert set(primitive_blocks()) | set(CONTROL) < set(descriptions())


def test_a_block_is_told_with_types_defaults_and_meanings() -> None:
    told = describe_block("lstm")
    assert "units (whole number, >= 1; required)" in told
    assert 'mask (use, ignore; default "use")' in told
    assert "the last state is that after the last real object" in told
    assert "include: blocks/convolution.yaml" in describe_block("residual")


def test_an_unknown_block_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="there is no block `lstn`; did you mean `lstm`"):
        describe_block("lstn")


def test_the_page_in_docs_is_up_to_date(repository: Path) -> None:
    assert (repository / "docs" / "blocks.md").read_text(encoding="utf-8") == text()
