"""Files that include others: what wins, where names are looked up, and places in the right file."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.spec.document import Document
from engine.spec.includes import read
from engine.spec.load import load_experiment


def document(path: Path) -> Document:
    return Document.from_tree(read(path), str(path))


def problem(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read(path)
    return str(caught.value)


def test_the_including_file_wins_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("data: {a: 1, b: {c: 2, d: [1, 2]}}\nname: base\n")
    (tmp_path / "more.yaml").write_text("data: {a: 3}\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text("include: [base.yaml, more.yaml]\nname: own\ndata: {b: {d: [5]}}\n")
    assert document(spec).value == {"data": {"a": 3, "b": {"c": 2, "d": [5]}}, "name": "own"}


def test_places_keep_the_file_that_they_came_from(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.yaml").write_text("include: other.yaml\n\nx: 1\n")
    (tmp_path / "shared" / "other.yaml").write_text("y: {z: 2}\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text("include: shared/base.yaml\nname: own\n")
    found = document(spec)
    assert found.locate(("x",)) == (str(tmp_path / "shared" / "base.yaml"), 3, 4)
    assert found.locate(("y", "z")) == (str(tmp_path / "shared" / "other.yaml"), 1, 8)
    assert found.locate(("name",)) == (str(spec), 2, 7)


def test_a_mistake_in_an_included_file_is_told_there(tmp_path: Path, small: str) -> None:
    (tmp_path / "base.yaml").write_text("training:\n  epochs: five\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text("include: base.yaml\n" + small)
    with pytest.raises(SpecError) as caught:
        load_experiment(spec)
    expected = f"{tmp_path / 'base.yaml'}:2:11: `epochs` must be a whole number, found the text `five`"
    assert str(caught.value) == expected


def test_mistakes_of_inclusion_are_told_at_the_include(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("include: two.yaml\n")
    two.write_text("a: 1\ninclude: [one.yaml]\n")
    assert problem(one) == f"{two}:2:11: a file includes itself: one.yaml -> two.yaml -> one.yaml"
    one.write_text("include: absent.yaml\n")
    assert f"{one}:1:10: there is no file `absent.yaml` in {tmp_path}" in problem(one)
    one.write_text("include: {a: 1}\n")
    assert problem(one) == f"{one}:1:10: `include` takes a file name or a list of them, found a mapping"
    one.write_text("include: two.yaml\n")
    two.write_text("- 1\n")
    assert problem(one) == f"{two}:1:1: a spec is a mapping of sections, found a list"
    two.write_text("a: [\n")
    assert problem(one).startswith(f"{two}:2:1: this is not YAML")


def test_files_that_include_each_other_twice_cannot_multiply_without_end(tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"{i}.yaml").write_text(f"include: [{i + 1}.yaml, {i + 1}.yaml]\n")
    (tmp_path / "30.yaml").write_text("a: 1\n")
    assert "more than 100 files are included" in problem(tmp_path / "0.yaml")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("a: 1\n")
    assert (
        problem(tmp_path / "spce.yaml") == f"{tmp_path / 'spce.yaml'}: there is no such file; did you mean `spec.yaml`?"
    )
    assert problem(tmp_path) == f"{tmp_path}: this is a folder, not a spec"
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: x\nroot\xff\xfe\x00")
    assert problem(binary) == f"{binary}:2:5: the byte 0xff is not UTF-8 text; is this a spec?"
    empty = tmp_path / "empty.yaml"
    empty.write_text("# nothing\n")
    assert problem(empty) == f"{empty}: the file is empty"
    assert "cannot be read" in problem(Path("a\0b"))
