"""Weights of another run that a training starts from: where they are and whether they fit, without torch."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Mistake, TrainingError, UsageError
from engine.files import complete, file_sentence, make_folder, write_json
from engine.graph.planned import Branches, Chain, Composite, PlannedNode, Primitive, Shared
from engine.runs import RunDirectory, is_group, read_environment
from engine.spec.suggest import hint

if TYPE_CHECKING:
    from engine.graph.planned import Plan
    from engine.spec.experiment import Experiment
    from engine.spec.sections import LoadSpec, TrainingSpec

LONGEST_HEADER = 10**8  # bytes
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Kept:
    """The copy of loaded weights that a run holds; `number` is that of the load in the spec, counted from 0."""

    load: LoadSpec
    path: Path


def find_weights(load: LoadSpec) -> Path:
    """The file of weights that a `load:` names.

    Raises:
        UsageError: there is no such run, or it has no checkpoint yet.
    """
    source = Path(load.source)
    if not source.exists():
        raise UsageError(f"there is no run {source}; train it first, or name another one in `load`")
    if is_group(source):
        raise UsageError(f"{source} holds repeated runs; name one of them, such as {source / '1'}")
    run = RunDirectory(source)
    if not run.spec.is_file():
        found = sorted(str(spec.parent) for spec in source.glob("**/spec.yaml")) if source.is_dir() else []
        known = f"; there are {', '.join(found[:3])}" if found else ""
        raise UsageError(f"{source} is not a run directory (it has no spec.yaml){known}")
    for link in (load.checkpoint, "last"):
        path = run.checkpoints / link / "network.safetensors"
        if path.is_file():
            return path
    raise UsageError(f"the run {source} has no checkpoint yet, so nothing can be loaded from it")


def read_shapes(path: Path) -> Shapes:
    """The name and shape of every tensor of a safetensors file, of which the header alone is read.

    The file begins with the length of the header (8 bytes, little endian), which is JSON.

    Raises:
        TrainingError: it is no such file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length) if length <= LONGEST_HEADER else b"")
        return {name: tuple(each["shape"]) for name, each in header.items() if name != "__metadata__"}
    except OSError as error:
        raise TrainingError(f"the weights {path} cannot be read ({file_sentence(error)})") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise TrainingError(f"the weights {path} cannot be read: this is no safetensors file") from None


def check_loads(experiment: Experiment, plan: Plan, missing_ok: bool) -> tuple[list[Mistake], list[str]]:
    """Everything that is loaded held against the network.

    Args:
        experiment: the checked spec.
        plan: its network.
        missing_ok: whether a run that is not there yet is a note and no mistake.

    Returns:
        Mistakes, and notes.
    """
    mistakes: list[Mistake] = []
    notes: list[str] = []
    for load in experiment.training.loads:
        path = (*load.path, "from")
        try:
            shapes = read_shapes(find_weights(load))
        except UsageError as error:
            if missing_ok and not Path(load.source).exists():
                notes.append(f"the run {load.source}, which is loaded from, is not here yet")
            else:
                mistakes.append(Mistake(path, str(error)))
        except TrainingError as error:
            mistakes.append(Mistake(path, str(error)))
        else:
            mistakes += _compare(load, shapes, plan)
    return mistakes, notes


def loaded_nodes(load: LoadSpec, plan: Plan) -> dict[str, str]:
    """Name there -> name here of the nodes that are loaded: those with anything to load where none are named."""
    if load.nodes is not None:
        return dict(load.nodes)
    return {name: name for name, node in plan.nodes.items() if any(sizes(node))}


def _compare(load: LoadSpec, shapes: Shapes, plan: Plan) -> Iterator[Mistake]:
    """Nodes that the file has not got, and layers of other sizes."""
    known = list(dict.fromkeys(name.partition(".")[0] for name in shapes))
    for theirs, ours in loaded_nodes(load, plan).items():
        node = plan.nodes.get(ours)
        if node is None:
            continue
        wanted = sizes(node)
        path = (*load.path, "nodes") if load.nodes is not None else (*load.path, "from")
        if wanted and not any(name.startswith((f"{theirs}.", "shared.")) for name in shapes):
            yield Mistake(path, f"{load.source} has no node `{theirs}`{hint(theirs, known)}; name the `nodes` to load")
            continue
        for layer, size in wanted.items():
            there = f"{theirs}{layer.removeprefix(ours)}" if layer.startswith(f"{ours}.") else layer
            found = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(f"{there}."))
            if found != size:
                message = f"`{there}` of {load.source} has {found:,} numbers and `{layer}` of this network {size:,}"
                yield Mistake(path, f"{message}; give both the same layers, or load other `nodes`")
                break


def sizes(node: PlannedNode) -> dict[str, int]:
    """The numbers that each layer of a node keeps in the state of the network, by its name there; none of 0."""
    chains = [(f"{node.name}.source_{i}", source.chain) for i, source in enumerate(node.sources)]
    found = dict(entry for prefix, chain in [*chains, (node.name, node.chain)] for entry in _sizes(prefix, chain))
    return {name: size for name, size in found.items() if size}


def _sizes(prefix: str, chain: Chain) -> Iterator[tuple[str, int]]:
    for step in chain.steps:
        name = f"{prefix}.{step.key}"
        if isinstance(step, Primitive):
            yield name, sum(step.counts)
        elif isinstance(step, Branches):
            for number, branch in enumerate(step.chains):
                yield from _sizes(f"{name}.{number}", branch)
        elif isinstance(step, Composite):
            for inner in step.graph.nodes.values():
                for number, source in enumerate(inner.sources):
                    yield from _sizes(f"{name}.{inner.name}.source_{number}", source.chain)
                yield from _sizes(f"{name}.{inner.name}", inner.chain)
        elif isinstance(step, Shared):
            yield from _sizes(f"shared.{step.name}", step.chain)


def keep_copies(training: TrainingSpec, run: RunDirectory) -> list[Kept]:
    """Copies of all that is loaded, in the run, so that it can be resumed whatever becomes of the other run.

    Checksum, file and time of each are noted in the environment of the run. Copies that are there are left alone.

    Raises:
        UsageError: a run that is loaded from is not there.
    """
    kept = [Kept(load, run.loaded / f"{number}.safetensors") for number, load in enumerate(training.loads, 1)]
    notes = [_copy(each) for each in kept if not each.path.is_file()]
    if notes:
        before: Mapping[str, Any] = read_environment(run) if run.environment.is_file() else {}
        write_json(run.environment, {**before, "loaded": [*before.get("loaded", ()), *notes]})
    return kept


def _copy(kept: Kept) -> dict[str, str]:
    source = find_weights(kept.load).resolve()
    make_folder(kept.path.parent)
    with complete(kept.path) as unfinished:
        shutil.copyfile(source, unfinished)
        with unfinished.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    where = ".".join(str(step) for step in kept.load.path)
    return {"key": where, "from": kept.load.source, "file": str(source), "copy": kept.path.name, "sha256": checksum}


def shared_layers(nodes: Iterable[PlannedNode]) -> list[str]:
    """Names of the layers with shared weights that some nodes use."""
    names = (layer.split(".")[1] for node in nodes for layer in sizes(node) if layer.startswith("shared."))
    return list(dict.fromkeys(names))
