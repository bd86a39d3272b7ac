"""Checks of the data files by their metadata alone: no event is read, and for ROOT files nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.data.branches import needed_branches
from engine.data.readers.base import NoSuchTree, expand_files, open_reader
from engine.data.wrong_branches import wrong_branches
from engine.errors import DataError, Mistake, Path
from engine.spec.sections.data import DataSpec, SampleSpec

MOST_FILES = 3
"""Files of a sample that are opened; they come out of the same program, so a few show its mistakes."""


@dataclass(frozen=True)
class SampleFiles:
    """What was found of a sample: its files, how many of them were opened, and the entries of those."""

    name: str
    files: int
    opened: int
    entries: int

    def __str__(self) -> str:
        files = "1 file" if self.files == 1 else f"{self.files} files"
        if self.opened < self.files:
            return f"{self.name}: {files}, {self.entries} entries in the {self.opened} that were opened"
        return f"{self.name}: {files}, {self.entries} entries"


@dataclass(frozen=True)
class Inspection:
    """The outcome.

    Attributes:
        absent: patterns without any file.
        contradictions: where the spec says something else than its files.
        unreadable: files that cannot be opened.
        notes: what is odd but no obstacle.
        samples: what there is.
    """

    absent: list[Mistake]
    contradictions: list[Mistake]
    unreadable: list[Mistake]
    notes: list[str]
    samples: list[SampleFiles]

    @property
    def mistakes(self) -> list[Mistake]:
        """All that is in the way of using the files; that some are absent only where others are there."""
        return [*(self.absent if self.at_hand else ()), *self.contradictions, *self.unreadable]

    @property
    def at_hand(self) -> bool:
        """Whether any sample has files here at all."""
        return any(sample.files for sample in self.samples)


@dataclass
class _Findings:
    """Sentences about files by place and cause, with the files of each sample that each was seen in."""

    seen: dict[tuple[Path, str], dict[str, list[str]]] = field(default_factory=dict)

    def add(self, path: Path, cause: str, sample: str, file: str) -> None:
        """One finding in one file."""
        self.seen.setdefault((path, cause), {}).setdefault(sample, []).append(file)

    def mistakes(self, data: DataSpec, opened: dict[str, int], notes: list[str]) -> list[Mistake]:
        """Each finding once, the notes among them apart."""
        found = []
        for (path, cause), samples in self.seen.items():
            first = next(iter(samples.values()))[0]
            number = sum(len(files) for files in samples.values())
            files_of = f"{number} files of the " if number > 1 else ""
            sentence = f"{first}: {cause} ({files_of}sample{'s' * (len(samples) > 1)} {', '.join(samples)})"
            if data.on_error == "skip" and all(len(files) < opened[name] for name, files in samples.items()):
                notes.append(sentence)
            else:
                found.append(Mistake(path, sentence))
        return found


def check_files(data: DataSpec) -> list[Mistake]:
    """Everything that the files' metadata say is wrong; nothing where no sample has any file yet."""
    return inspect_files(data).mistakes


def inspect_files(data: DataSpec, most: int = MOST_FILES) -> Inspection:
    """Open the metadata of the first `most` files of every sample and compare them with the layout.

    A finding in all opened files of a sample is a mistake. One in some of them is a mistake too, unless
    `on_error: skip` says that such files are left out: then it is a note.
    """
    absent: list[Mistake] = []
    notes: list[str] = []
    samples: list[SampleFiles] = []
    opened: dict[str, int] = {}
    contradicting, unreadable = _Findings(), _Findings()
    for sample in data.samples.values():
        files = _files_of(sample, absent)
        first = files[:most]
        opened[sample.name] = len(first)
        entries = sum(_inspect(data, sample, file, contradicting, unreadable) for file in first)
        samples.append(SampleFiles(sample.name, len(files), len(first), entries))
    contradictions = contradicting.mistakes(data, opened, notes)
    return Inspection(absent, contradictions, unreadable.mistakes(data, opened, notes), notes, samples)


def _files_of(sample: SampleSpec, mistakes: list[Mistake]) -> list[str]:
    """Files of a sample; a pattern without any is a mistake."""
    found: set[str] = set()
    for number, pattern in enumerate(sample.files):
        try:
            found.update(expand_files([pattern]))
        except DataError as error:
            mistakes.append(Mistake((*sample.path, "files", number), f"sample {sample.name}: {error}"))
    return sorted(found)


def _inspect(data: DataSpec, sample: SampleSpec, file: str, contradicting: _Findings, unreadable: _Findings) -> int:
    """Compare one file with what the sample needs; returns its entries."""
    layout = data.layouts[sample.layout]
    try:
        reader = open_reader(file, layout.format, layout.tree)
    except NoSuchTree as error:
        contradicting.add((*layout.path, "tree"), str(error).removeprefix(f"{file}: "), sample.name, file)
        return 0
    except DataError as error:
        unreadable.add((*sample.path, "files"), str(error).removeprefix(f"{file}: "), sample.name, file)
        return 0
    try:
        if reader.branches or reader.entries:  # a file without events often has no branches either
            for path, cause in wrong_branches(needed_branches(data, layout, sample.rows, sample), layout, reader):
                contradicting.add(path, cause, sample.name, file)
        if not reader.entries:
            unreadable.add((*sample.path, "files"), "the file has no entries", sample.name, file)
        return reader.entries
    finally:
        reader.close()
