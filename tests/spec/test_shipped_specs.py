"""Every spec that comes with the program is right: for this program, and for any other JSON Schema validator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.errors import SpecError
from engine.spec.bundle import bundle_schema
from engine.spec.document import Document
from engine.spec.includes import read
from engine.spec.load import load_experiment, load_text, missing_in_part
from engine.spec.schema import schemas

SPECS = Path(__file__).resolve().parent.parent.parent / "specs"
EXPERIMENTS = sorted({*SPECS.rglob("*.yaml")} - {*SPECS.glob("blocks/**/*.yaml"), *SPECS.glob("parts/**/*.yaml")})
BLOCKS = sorted((SPECS / "blocks").rglob("*.yaml"))
PARTS = sorted((SPECS / "parts").glob("*.yaml"))  # data sections
PIECES = sorted((SPECS / "parts").glob("*/*.yaml"))  # whatever several specs share beside their data
FEWEST = 25


def plain(path: Path) -> Any:
    return Document.from_tree(read(path), str(path)).value


def test_no_spec_is_left_out() -> None:
    assert len(EXPERIMENTS) >= FEWEST
    assert sorted(SPECS.rglob("*.yaml")) == sorted([*EXPERIMENTS, *BLOCKS, *PARTS, *PIECES])


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_a_shipped_spec_is_right(path: Path) -> None:
    experiment = load_experiment(path)
    assert experiment.name
    assert not experiment.document.notes


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_editor_finds_a_shipped_spec_right(path: Path) -> None:
    errors = [f"{e.json_path}: {e.message}" for e in Draft202012Validator(bundle_schema()).iter_errors(plain(path))]
    assert errors == []


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_a_file_of_blocks_can_be_included_by_its_shipped_name(path: Path, small: str, tmp_path: Path) -> None:
    experiment = load_text(f"include: blocks/{path.name}\n{small}", beside=tmp_path)
    assert set(plain(path)["blocks"]) <= set(experiment.model.blocks)


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_a_part_makes_a_spec_right_that_includes_it(path: Path, tmp_path: Path) -> None:
    """Each part is a data section; a network of its first input is put on top."""
    name = next(iter(plain(path)["data"]["inputs"]))
    target, samples = next(iter(plain(path)["data"]["targets"])), list(plain(path)["data"]["samples"])
    classes = len(plain(path)["data"]["targets"][target]["classes"])
    kind, units = ("binary_cross_entropy", 1) if classes == 2 else ("cross_entropy", classes)
    text = f"""
include: parts/{path.name}
name: part
model: {{graph: {{y: {{from: {name}, layers: [mean_pool, dense: {units}]}}}}}}
training:
  epochs: 1
  streams: {{main: {{samples: {samples}, batch: 8}}}}
  losses: {{y: {{{kind}: {{of: y, target: {target}}}}}}}
  updates: [{{minimize: y, optimizer: {{adam: {{lr: 1e-3}}}}}}]
"""
    assert load_text(text, beside=tmp_path).data.inputs[name].features


@pytest.mark.parametrize("path", [*BLOCKS, *PARTS, *PIECES], ids=lambda path: path.stem)
def test_a_file_to_include_is_no_incomplete_experiment(path: Path) -> None:
    assert {"name", "model"} & set(missing_in_part(path))


def test_what_is_wrong_in_a_file_to_include_is_told(tmp_path: Path) -> None:
    part = tmp_path / "mine.yaml"
    part.write_text(
        "blocks: {twice: {graph: {output: {from: input, layers: [dense: {unit: 2}]}}}}\ntraining: {epoch: 3}\n"
    )
    with pytest.raises(SpecError) as caught:
        missing_in_part(part)
    sentences = [problem.message for problem in caught.value.problems]
    assert any("`epoch`" in sentence for sentence in sentences)
    assert not any("needs the key" in sentence for sentence in sentences)


@pytest.mark.parametrize("path", [*EXPERIMENTS, *BLOCKS, *PARTS, *PIECES], ids=lambda path: path.stem)
def test_every_spec_tells_editors_its_schema(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=")


@pytest.mark.parametrize("name", sorted(schemas()))
def test_a_schema_file_is_right_itself(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


def test_the_bundle_needs_no_other_file() -> None:
    bundle = bundle_schema()
    Draft202012Validator.check_schema(bundle)
    references: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            references.extend([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(item)

    collect(bundle)
    assert len(references) > 50
    assert all(reference.startswith("#/$defs/") for reference in references)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cross_entropy:", "crossentropy:"),
        ("adam:", "adan:"),
        ("units: 2", "unit: 2"),
        ("batch: 64", "batch: many"),
        ("keep: 10", "keeps: 10"),
    ],
)
def test_an_editor_finds_mistakes_too(small: str, tmp_path: Path, old: str, new: str) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(small)
    validator = Draft202012Validator(bundle_schema())
    assert validator.is_valid(plain(spec))
    spec.write_text(small.replace(old, new))
    assert not validator.is_valid(plain(spec))


def test_reading_a_spec_imports_nothing_heavy(repository: Path) -> None:
    code = (
        "import sys; from engine.spec.load import load_experiment; load_experiment('specs/calratio.yaml');"
        "heavy = {'torch', 'numpy', 'awkward', 'uproot', 'pyarrow', 'matplotlib', 'numba', 'h5py'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
