"""The front of the room: a file or a text to a checked, typed experiment, or all its mistakes at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.spec import aliases
from engine.spec.document import Document
from engine.spec.includes import read, read_text
from engine.spec.nodes import Node
from engine.spec.overrides import apply
from engine.spec.schema import check, check_part

if TYPE_CHECKING:
    from engine.spec.experiment import Experiment

SECTIONS = ("data", "model", "training")


def load_experiment(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a spec file, or of the resolved spec that is kept with a run.

    Args:
        path: the file.
        overrides: values that replace those of the file, such as `training.epochs=5`.

    Raises:
        SpecError: all mistakes that can be seen without the data, in the order of the file.
    """
    return _experiment(load_document(path, overrides), Path(path).parent)


def load_document(path: Path | str, overrides: Sequence[str] = ()) -> Document:
    """The resolved spec of a file, checked against the schema but not further.

    Raises:
        SpecError: it cannot be read, or the schema finds mistakes.
    """
    return _document(read(Path(path)), str(path), overrides)


def missing_in_part(path: Path | str, overrides: Sequence[str] = ()) -> list[str]:
    """The keys that a spec which includes this file has to add: none where the file is an experiment itself.

    A file without a name and without one of the sections is taken for a part, such as a library of blocks.

    Raises:
        SpecError: it cannot be read, or the schema finds mistakes in what it has.
    """
    root, notes = aliases.rename(apply(read(Path(path)), overrides))
    document = Document.from_tree(root, str(path), notes)
    missing = [key for key in SECTIONS if key not in document.value]
    if "name" in document.value or not missing:
        return []
    mistakes = check_part(document.value)
    if mistakes:
        raise document.error(mistakes)
    return ["name", *missing]


def load_text(
    text: str, overrides: Sequence[str] = (), name: str = "spec.yaml", beside: Path | str = "."
) -> Experiment:
    """The experiment of a text; `name` stands for the file in messages, includes are relative to the folder `beside`.

    Raises:
        SpecError: as `load_experiment`.
    """
    return _experiment(_document(read_text(text, name, Path(beside)), name, overrides), Path(beside))


def _document(root: Node, file: str, overrides: Sequence[str]) -> Document:
    root, notes = aliases.rename(apply(root, overrides))
    document = Document.from_tree(root, file, notes)
    mistakes = check(document.value)
    if mistakes:
        raise document.error(mistakes)
    return document


def _experiment(document: Document, beside: Path) -> Experiment:
    from engine.spec.build import build_experiment
    from engine.spec.checks.experiment import check_experiment
    from engine.spec.vocabularies import put_in

    mistakes = put_in(document, beside)
    experiment = build_experiment(document)
    mistakes += check_experiment(experiment)
    if mistakes:
        raise document.error(mistakes)
    return experiment
