"""Checks of the data files by their metadata alone: no event is read, and for ROOT files nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.data.branches import NeededBranch, needed_branches
from engine.data.readers.base import BranchInfo, Reader, expand_files, missing_branch, open_reader
from engine.errors import DataError, Mistake, Path
from engine.spec.sections.data import DataSpec, LayoutSpec, SampleSpec

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
    """The outcome: what is wrong with the spec or its files, what is odd but no obstacle, and what there is."""

    mistakes: list[Mistake]
    notes: list[str]
    samples: list[SampleFiles]

    @property
    def at_hand(self) -> bool:
        """Whether any sample has files here at all."""
        return any(sample.files for sample in self.samples)


@dataclass
class _Findings:
    """Sentences about the files of one sample, by place and cause, with the files that each was seen in."""

    seen: dict[tuple[Path, str], list[str]] = field(default_factory=dict)

    def add(self, path: Path, cause: str, file: str) -> None:
        """One finding in one file."""
        self.seen.setdefault((path, cause), []).append(file)


def check_files(data: DataSpec) -> list[Mistake]:
    """Everything that the files' metadata say is wrong; nothing where no sample has any file yet."""
    return inspect_files(data).mistakes


def inspect_files(data: DataSpec, most: int = MOST_FILES) -> Inspection:
    """Open the metadata of the first `most` files of every sample and compare them with the layout.

    A finding in all opened files of a sample is a mistake of the spec. One in some of them is a mistake too, unless
    `on_error: skip` says that such files are left out: then it is a note.
    """
    mistakes: list[Mistake] = []
    absent: list[Mistake] = []
    notes: list[str] = []
    samples: list[SampleFiles] = []
    for sample in data.samples.values():
        files = _files_of(sample, absent)
        findings = _Findings()
        opened = files[:most]
        entries = sum(_inspect(data, sample, file, findings) for file in opened)
        samples.append(SampleFiles(sample.name, len(files), len(opened), entries))
        for (path, cause), where in findings.seen.items():
            others = f" (and {len(where) - 1} more of its files)" if len(where) > 1 else ""
            sentence = f"{where[0]}: {cause}{others}"
            if data.on_error == "skip" and len(where) < len(opened):
                notes.append(sentence)
            else:
                mistakes.append(Mistake(path, sentence))
    at_hand = any(sample.files for sample in samples)
    return Inspection((absent if at_hand else []) + mistakes, notes, samples)


def _files_of(sample: SampleSpec, mistakes: list[Mistake]) -> list[str]:
    """Files of a sample; a pattern without any is a mistake."""
    found: set[str] = set()
    for number, pattern in enumerate(sample.files):
        try:
            found.update(expand_files([pattern]))
        except DataError as error:
            mistakes.append(Mistake((*sample.path, "files", number), f"sample {sample.name}: {error}"))
    return sorted(found)


def _inspect(data: DataSpec, sample: SampleSpec, file: str, findings: _Findings) -> int:
    """Compare one file with what the sample needs; returns its entries."""
    layout = data.layouts[sample.layout]
    try:
        reader = open_reader(file, layout.format, layout.tree)
    except DataError as error:
        findings.add((*sample.path, "files"), str(error).removeprefix(f"{file}: "), file)
        return 0
    try:
        if reader.branches or reader.entries:  # a file without events often has no branches either
            for path, cause in _compare(needed_branches(data, layout, sample.rows, sample), layout, reader):
                findings.add(path, f"{cause} (sample {sample.name})", file)
        return reader.entries
    finally:
        reader.close()


def _compare(needed: Sequence[NeededBranch], layout: LayoutSpec, reader: Reader) -> Iterator[tuple[Path, str]]:
    """What is wrong with the branches that are needed: missing, of a wrong type, or nested wrongly."""
    known = reader.branches
    for branch in needed:
        if branch.branch not in known:
            if not branch.optional:
                yield branch.path, f"{missing_branch(branch.branch, known)}; {_user(branch)} needs it"
            continue
        info = known[branch.branch]
        if not info.readable:
            kind = info.dtype.removeprefix("unknown: ")
            yield branch.path, f"branch '{info.name}' is of a type that cannot be read ({kind})"
        elif branch.holds != "either" and info.numeric != (branch.holds == "numbers"):
            found = "numbers" if info.numeric else "text"
            yield branch.path, f"branch '{info.name}' holds {found}, but {_user(branch)} needs {branch.holds}"
    present = [branch for branch in needed if branch.branch in known and known[branch.branch].readable]
    for name in layout.collections:
        yield from _nesting([branch for branch in present if branch.collection == name], layout, reader)


def _nesting(branches: Sequence[NeededBranch], layout: LayoutSpec, reader: Reader) -> Iterator[tuple[Path, str]]:
    """Whether the branches of one collection are nested alike, and its owner fits them."""
    fields = [(branch, reader.branches[branch.branch]) for branch in branches if branch.role == "field"]
    if not fields:
        return
    name = fields[0][0].collection
    collection = layout.collections[name]
    depth = 0 if collection.slots is not None else min(1, max(info.depth for _, info in fields))
    for branch, info in fields:
        computed = branch.field is not None and collection.fields[branch.field].expression is not None
        if info.depth > 1:
            yield branch.path, f"branch '{info.name}' {_nature(info)}; a field of {name} has one value an object"
        elif info.depth != depth and not (computed and info.depth == 0):
            what = "a branch of a wide table has one value an entry" if collection.slots else _others(name, fields)
            yield branch.path, f"branch '{info.name}' {_nature(info)}, but {what}"
    for branch in branches:
        info = reader.branches[branch.branch]
        if branch.role == "owner" and (depth == 0 or info.depth == 0):
            needs = "the branches of its collection hold one value an entry" if depth == 0 else "a list is needed"
            yield branch.path, f"branch '{info.name}' (owner of {name}) {_nature(info)}, but {needs}"


def _nature(info: BranchInfo) -> str:
    """How deep a branch is, as a verb phrase."""
    return ("holds one value an entry", "holds a list an entry", "holds lists of lists")[min(info.depth, 2)]


def _others(name: str, fields: Sequence[tuple[NeededBranch, BranchInfo]]) -> str:
    """Names a branch of the collection that is a list."""
    listed = next(info.name for _, info in fields if info.depth > 0)
    return f"'{listed}' of the same collection {name} holds a list"


def _user(branch: NeededBranch) -> str:
    """Who needs a branch: a field, or the collection's owner or `exists`."""
    return f"{branch.collection}.{branch.field}" if branch.field else f"`{branch.role}` of {branch.collection}"
