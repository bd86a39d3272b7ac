"""Checkpoints: weights and all else that a resumed training needs, written so that a kill at any moment is harmless.

A checkpoint is one directory, `checkpoints/step-00000120/`, with `network.safetensors` (the weights) and `state.pt`
(the rest; tensors and plain values alone, so that reading it cannot run code). It is complete when it has its name: it
is written under another one, flushed to the disk and renamed. `last` and `best` are links that a rename switches, so
weights and state can never be of different steps.
"""

from __future__ import annotations

import os
import random
import shutil
from contextlib import closing
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn

from engine.errors import TrainingError
from engine.files import unwritable
from engine.sinks import Sink

WEIGHTS = "network.safetensors"
STATE = "state.pt"
VERSION = 2


def save(folder: Path, network: nn.Module, state: dict[str, Any], best: bool) -> Path:
    """Write a checkpoint and make it `last` (and `best`); those that nothing links to any more are removed.

    Args:
        folder: of all checkpoints.
        network: its weights.
        state: all else, with the iteration under `step`.
        best: whether it is the best one.

    Raises:
        StorageError: there is no room for it; the one before is untouched.
        UsageError: it cannot be written at that place.
    """
    target = _unused(folder, f"step-{state['step']:08d}")
    temporary = folder / f".{target.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        (temporary / WEIGHTS).write_bytes(serialize(_weights(network)))
        with closing(Sink(temporary / STATE)) as sink:
            torch.save({"version": VERSION, **state}, cast("IO[bytes]", sink))
        for path in (temporary / WEIGHTS, temporary / STATE, temporary):
            _flush(path)
        temporary.rename(target)
        if best:  # first: a kill between the two links leaves an older `last`, and the steps since then are done again
            _link(folder / "best", target.name)
        _link(folder / "last", target.name)
        _flush(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise unwritable(target, error) from error
    _remove_unlinked(folder)
    return target


def load_weights(network: nn.Module, checkpoint: Path) -> None:
    """Put the weights of a checkpoint into a network.

    Raises:
        TrainingError: there is no such checkpoint, or its weights are not those of this network.
    """
    path = checkpoint / WEIGHTS
    if not path.is_file():
        raise TrainingError(f"there is no checkpoint {checkpoint}; has the training come to its first one?")
    weights = read_weights(path)
    _compare(path, weights, network.state_dict())
    network.load_state_dict(weights)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, by name.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        return dict(load_file(path))
    except Exception as error:  # safetensors raises its own kinds for damaged files
        raise TrainingError(f"the weights {path} cannot be read: {_reason(error)}") from error


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The state of a checkpoint.

    Raises:
        TrainingError: it cannot be read.
    """
    path = checkpoint / STATE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and file errors alike
        hint = "let the link `last` lead to another checkpoint, or start a new run"
        raise TrainingError(f"the checkpoint {path} cannot be read: {_reason(error)}; {hint}") from error
    if state.get("version") != VERSION:
        raise TrainingError(f"the checkpoint {path} was written by another version of this program; start a new run")
    return state


def _reason(error: Exception) -> str:
    """Why a file cannot be read; what torch says of damaged files is about torch, or nothing at all."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged or cut off"


def find(folder: Path, name: str = "last") -> Path | None:
    """The checkpoint that `last` or `best` leads to (`last` where there is no best one); None before the first."""
    for link in (folder / name, folder / "last"):
        if link.is_dir():
            return link.resolve()
    return None


def random_state() -> dict[str, Any]:
    """The state of every random number generator: torch, CUDA, NumPy, Python."""
    version, numbers, gauss = random.getstate()
    legacy: dict[str, Any] = np.random.get_state(legacy=False)  # noqa: NPY002  the global generator is the one to keep
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": {
            "key": torch.from_numpy(legacy["state"]["key"].astype(np.int64)),
            "position": int(legacy["state"]["pos"]),
            "has_gauss": int(legacy["has_gauss"]),
            "gauss": float(legacy["gauss"]),
        },
        "python": [version, list(numbers), gauss],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Set every random number generator as it was."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    numpy = state["numpy"]
    key = numpy["key"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy["position"], numpy["has_gauss"], numpy["gauss"]))  # noqa: NPY002
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def _weights(network: nn.Module) -> dict[str, Tensor]:
    """Copies on the CPU; shared parameters are written under each of their names."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}


def _compare(path: Path, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name in sorted(found.keys() ^ wanted.keys()):
        where = "the network has not got" if name in found else "which it lacks"
        reason = f"it has {name}, which {where}" if name in found else f"the network needs {name}, {where}"
        raise TrainingError(f"the weights {path} do not fit the network: {reason}")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            shapes = f"{list(found[name].shape)} there and {list(tensor.shape)} here"
            raise TrainingError(f"the weights {path} do not fit the network: {name} is {shapes}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unused(folder: Path, name: str) -> Path:
    """A name that no checkpoint has: an epoch may end at the iteration where the last checkpoint was written."""
    number = 0
    target = folder / name
    while target.exists():
        number += 1
        target = folder / f"{name}.{number}"
    return target


def _link(link: Path, name: str) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.replace(link)


def _remove_unlinked(folder: Path) -> None:
    kept = {link.readlink().name for link in (folder / "last", folder / "best") if link.is_symlink()}
    for path in folder.iterdir():
        if path.name.startswith((".step-", "step-")) and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
