"""`engine new`: what is copied works as it stands, and copies of what it includes take the place of shipped files."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import shipped
from engine.errors import UsageError
from engine.spec.load import load_experiment, missing_in_part


@pytest.mark.parametrize("name", ["calratio", "smartbkg", "smartbkg/bias", "ndive_ftag/true_vertex"])
def test_a_copied_spec_is_the_shipped_one(repository: Path, tmp_path: Path, name: str) -> None:
    copied = shipped.copy(name, tmp_path / "specs")
    assert copied == tmp_path / "specs" / f"{name}.yaml"
    theirs, ours = load_experiment(repository / "specs" / f"{name}.yaml"), load_experiment(copied)
    assert ours.document.value == theirs.document.value
    first_line = copied.read_text(encoding="utf-8").splitlines()[0]
    assert (copied.parent / first_line.partition("$schema=")[2]).resolve() == (tmp_path / shipped.EDITOR_SCHEMA)


def test_a_copied_part_takes_the_place_of_the_shipped_one_wherever_it_is_included(tmp_path: Path) -> None:
    spec = shipped.copy("smartbkg", tmp_path / "specs")
    part = shipped.copy("parts/smartbkg_data", tmp_path / "specs")
    assert missing_in_part(part)
    part.write_text(part.read_text(encoding="utf-8").replace("keep: 100", "keep: 80"), encoding="utf-8")
    assert load_experiment(spec).data.inputs["particles"].keep == 80


def test_what_is_there_is_not_overwritten_and_what_is_not_shipped_is_told(tmp_path: Path) -> None:
    shipped.copy("smartbkg", tmp_path)
    with pytest.raises(UsageError, match="is there already"):
        shipped.copy("smartbkg", tmp_path)
    for name in ("smartbk", "../specs/smartbkg", "smartbkg.yaml", "vocabularies/pdg"):
        with pytest.raises(UsageError, match="there is no shipped spec"):
            shipped.copy(name, tmp_path)


def test_every_experiment_is_listed_with_a_title() -> None:
    titles = shipped.titles()
    assert {"calratio", "ndive", "smartbkg", "smartbkg/bias"} <= set(titles)
    assert all(titles.values())
    assert not [name for name in titles if name.startswith(("parts/", "blocks/"))]
