"""Whether the branches of a file are what the spec takes them for, by the metadata alone; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.data.branches import NeededBranch
from engine.data.readers.base import BranchInfo, Reader, missing_branch
from engine.errors import Path
from engine.spec.sections.data import CollectionSpec, LayoutSpec


def wrong_branches(needed: Sequence[NeededBranch], layout: LayoutSpec, reader: Reader) -> Iterator[tuple[Path, str]]:
    """What is wrong with the needed branches of a file (missing, of a wrong type or nesting), by place in the spec."""
    known = reader.branches
    for branch in needed:
        if branch.branch not in known:
            if not branch.optional:
                yield branch.path, f"{missing_branch(branch.branch, known)}; {_needed(branch)}"
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
    depth = 0 if collection.slots is not None else _usual_depth(collection, fields)
    for branch, info in fields:
        computed = branch.field is not None and collection.fields[branch.field].expression is not None
        if info.depth > 1:
            yield branch.path, f"branch '{info.name}' {_nature(info)}; a field of {name} has one value an object"
        elif info.depth != depth and not (computed and info.depth == 0):
            what = (
                "a branch of a wide table has one value an entry" if collection.slots else _others(name, fields, depth)
            )
            yield branch.path, f"branch '{info.name}' {_nature(info)}, but {what}"
    for branch in branches:
        info = reader.branches[branch.branch]
        if branch.role == "owner" and (depth == 0 or info.depth == 0):
            needs = "the branches of its collection hold one value an entry" if depth == 0 else "a list is needed"
            yield branch.path, f"branch '{info.name}' (owner of {name}) {_nature(info)}, but {needs}"


def _nature(info: BranchInfo) -> str:
    """How deep a branch is, as a verb phrase."""
    return ("holds one value an entry", "holds a list an entry", "holds lists of lists")[min(info.depth, 2)]


def _usual_depth(collection: CollectionSpec, fields: Sequence[tuple[NeededBranch, BranchInfo]]) -> int:
    """Whether the branches of a collection are to be lists (1) or one value an entry (0): as most of them are.

    Of those with an owner only lists have objects that could belong to a row.
    """
    listed = sum(info.depth > 0 for _, info in fields)
    return int(listed > 0 and (collection.owner is not None or 2 * listed >= len(fields)))


def _others(name: str, fields: Sequence[tuple[NeededBranch, BranchInfo]], depth: int) -> str:
    """Names a branch of the collection that is as it should be."""
    right = next(info for _, info in fields if min(1, info.depth) == depth)
    return f"'{right.name}' of the same collection {name} holds {'a list' if depth else 'one value'}"


def _needed(branch: NeededBranch) -> str:
    """Who needs a branch that is missing, and what could stand in for it."""
    default = " (a `default:` there would stand in for it)" if branch.field else ""
    return f"{_user(branch)} needs it{default}"


def _user(branch: NeededBranch) -> str:
    """Who needs a branch: a field, or the collection's owner or `exists`."""
    return f"{branch.collection}.{branch.field}" if branch.field else f"`{branch.role}` of {branch.collection}"
