"""The front of the room: a file or a text to a checked, typed experiment, or all its mistakes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Mistake
from engine.spec import aliases
from engine.spec.document import Document
from engine.spec.includes import read, read_text
from engine.spec.nodes import Node
from engine.spec.overrides import apply
from engine.spec.schema import check, check_part

if TYPE_CHECKING:
    from engine.spec.experiment import Experiment
    from engine.spec.sound import Gaps

SECTIONS = ("data", "model", "training")


@dataclass
class Examined:
    """A spec, and all that can be found wrong with it without its graph and its files.

    Attributes:
        document: the resolved spec.
        experiment: what it says, without what is not understood (`gaps`); None where nothing of it is.
        mistakes: found so far, at their places in the document.
        gaps: what is missing from the experiment.
    """

    document: Document
    experiment: Experiment | None
    mistakes: list[Mistake]
    gaps: Gaps

    def sound(self) -> Experiment:
        """The experiment, of which nothing is missing.

        Raises:
            SpecError: every mistake that was found, in the order of the file.
        """
        if self.mistakes or self.experiment is None:
            raise self.document.error(self.mistakes)
        return self.experiment


def load_experiment(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a spec file, or of the resolved spec that is kept with a run.

    Args:
        path: the file.
        overrides: values that replace those of the file, such as `training.epochs=5`.

    Raises:
        SpecError: all mistakes that can be seen without the data, in the order of the file.
    """
    return examine(path, overrides).sound()


def examine(path: Path | str, overrides: Sequence[str] = ()) -> Examined:
    """A spec file with all its mistakes: what is right is checked to the end although something else is wrong.

    Raises:
        SpecError: it cannot be read.
    """
    return _examined(_resolved(read(Path(path)), str(path), overrides), Path(path).parent)


def load_document(path: Path | str, overrides: Sequence[str] = ()) -> Document:
    """The resolved spec of a file, checked against the schema but not further.

    Raises:
        SpecError: it cannot be read, or the schema finds mistakes.
    """
    document = _resolved(read(Path(path)), str(path), overrides)
    if mistakes := check(document.value):
        raise document.error(mistakes)
    return document


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
    return examine_text(text, overrides, name, beside).sound()


def examine_text(
    text: str, overrides: Sequence[str] = (), name: str = "spec.yaml", beside: Path | str = "."
) -> Examined:
    """As `examine`, of a text."""
    return _examined(_resolved(read_text(text, name, Path(beside)), name, overrides), Path(beside))


def _resolved(root: Node, file: str, overrides: Sequence[str]) -> Document:
    root, notes = aliases.rename(apply(root, overrides))
    return Document.from_tree(root, file, notes)


def _examined(document: Document, beside: Path) -> Examined:
    from engine.spec.build import build_experiment
    from engine.spec.checks.experiment import check_experiment
    from engine.spec.sound import Gaps, sound_part
    from engine.spec.vocabularies import put_in

    mistakes, gaps, sound = check(document.value), Gaps(), document
    if mistakes:
        part = sound_part(document)
        if part is None:
            return Examined(document, None, mistakes, gaps)
        sound, gaps = part
    later = put_in(sound, beside)
    experiment = build_experiment(sound)
    later += check_experiment(experiment)
    return Examined(document, experiment, [*mistakes, *gaps.real(later)], gaps)
