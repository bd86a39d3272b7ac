"""Weights of another run: loaded by the names of nodes, held against the network before anything is done, and kept."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import TrainingError, UsageError
from engine.graph.network import build_network
from engine.graph.plan import input_types, plan_network
from engine.spec.load import load_experiment
from engine.training.logs import read_log
from engine.training.sources import check_loads, read_shapes, sizes

UPDATE = "updates: [{minimize: tagging, parameters: [class], optimizer: {adam: {lr: 1e-3}}}]"


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "network.safetensors")


@pytest.fixture(scope="module")
def source(toy: Any) -> Path:
    """A trained run, as `engine run` leaves one, and a link to it."""
    toy.train("source", ["training.epochs=2", "training.updates.1.schedule=null", "seed=99"])
    run = toy.run("source")
    run.spec.write_text("name: toy\n")
    (toy.directory / "latest").symlink_to("source")
    return toy.directory / "latest"


def loading(source: Path, nodes: str = "null", epochs: int = 0, checkpoint: str = "best") -> str:
    load = f"{{from: {source}, nodes: {nodes}, checkpoint: {checkpoint}}}"
    return f"training.phases=[{{name: a, epochs: {epochs}, freeze: [pattern], load: {load}, {UPDATE}}}]"


def test_named_nodes_are_loaded_and_the_others_are_not(toy: Any, source: Path) -> None:
    told = io.StringIO()
    summary = toy.train("named", [loading(source, "[pattern, class]")], told=told)
    theirs, ours = weights(source / "checkpoints" / "best"), weights(summary.last)
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]) == (not name.startswith("origin.")), name
    number = sum(not name.startswith("origin.") for name in theirs)
    assert f"loaded pattern, class from {source} ({number} tensors); not used: origin" in told.getvalue()


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_without_names_every_node_is_loaded(toy: Any, source: Path, checkpoint: str) -> None:
    ours = weights(toy.train(f"every-{checkpoint}", [loading(source, checkpoint=checkpoint)]).last)
    theirs = weights(source / "checkpoints" / checkpoint)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_node_may_have_another_name_here(toy: Any, source: Path) -> None:
    renamed = [
        "model.graph.shape={from: hits, layers: [dense: {units: 8, activation: relu}, lstm: {units: 4, mask: ignore}]}",
        "model.graph.class.from=[shape, event]",
        loading(source, "{pattern: shape, class: class}").replace("freeze: [pattern]", "freeze: [shape]"),
    ]
    summary = toy.train("renamed", renamed)
    theirs, ours = weights(source / "checkpoints" / "best"), weights(summary.last)
    names = [name for name in ours if name.startswith("shape.")]
    assert names
    assert all(torch.equal(ours[name], theirs[name.replace("shape.", "pattern.")]) for name in names)


def test_a_training_may_load_too_and_goes_on_from_there(toy: Any, source: Path) -> None:
    load = f"training.load={{from: {source}, checkpoint: last}}"
    still = ["training.epochs=1", "training.updates=[{minimize: tagging, optimizer: {sgd: {lr: 0}}}]"]
    told = io.StringIO()
    tuned = toy.train("tuned", [load, *still], told=told)
    before = read_log(toy.run("source").metrics_log)[-1]["validation.tagging"]
    assert told.getvalue().startswith("loaded pattern, class, origin from ")
    assert tuned.last_metrics["validation.tagging"] == before


def test_a_copy_is_kept_so_that_the_other_run_is_not_needed_any_more(toy: Any, source: Path) -> None:
    other = toy.directory / "gone"
    shutil.copytree(source.resolve(), other, symlinks=True)
    phases = loading(other, "[pattern]", epochs=1)
    undisturbed = toy.train("copied", [phases])
    run = toy.run("copied")
    noted = json.loads(run.environment.read_text())["loaded"]
    file = other / "checkpoints" / "best" / "network.safetensors"
    assert [(each["from"], each["key"]) for each in noted] == [(str(other), "training.phases.0.load")]
    assert noted[0]["file"] == str(file.resolve())
    assert noted[0]["sha256"] == sha256(file.read_bytes()).hexdigest()
    again = toy.run("copied-again")
    again.path.mkdir()
    shutil.copytree(run.loaded, again.loaded)
    shutil.rmtree(other)
    summary = toy.train("copied-again", [phases], resume=True)
    assert all(torch.equal(value, weights(undisturbed.last)[name]) for name, value in weights(summary.last).items())


def checked(toy: Any, *overrides: str, missing_ok: bool = False) -> tuple[list[str], list[str]]:
    experiment, plan, _ = toy.load(overrides)
    mistakes, notes = check_loads(experiment, plan, missing_ok)
    return [mistake.message for mistake in mistakes], notes


def test_what_fits_is_no_mistake(toy: Any, source: Path) -> None:
    assert checked(toy, loading(source), "training.load={from: " + str(source) + "}") == ([], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nodes: {patern: pattern}", "has no node `patern`; did you mean `pattern`?"),
        ("model.graph.pattern.layers.1.lstm.units=5", "`pattern.1_lstm` of this network 280"),
        ("model.graph.class.layers.1.dense.units=17", "`class.1_dense` of "),
    ],
)
def test_what_does_not_fit_is_told_without_torch(toy: Any, source: Path, change: str, message: str) -> None:
    nodes = change.removeprefix("nodes: ") if change.startswith("nodes") else "[pattern, class]"
    overrides = [loading(source, nodes), *([] if change.startswith("nodes") else [change])]
    mistakes, _ = checked(toy, *overrides)
    assert any(message in mistake for mistake in mistakes), mistakes
    with pytest.raises(TrainingError, match="cannot be loaded"):
        toy.train(f"unfit-{len(message)}", overrides)


def test_equal_numbers_in_another_shape_are_told_before_training(toy: Any, source: Path) -> None:
    other = toy.directory / "turned"
    shutil.copytree(source.resolve(), other, symlinks=True)
    path = other / "checkpoints" / "best" / "network.safetensors"
    found = load_file(path)
    name = "class.1_dense.0.weight"
    save_file({**found, name: found[name].T.contiguous()}, path)
    with pytest.raises(
        TrainingError, match=r"cannot be loaded: class\.1_dense\.0\.weight is \[6, 16\] there and \[16, 6\]"
    ):
        toy.train("turned-round", [loading(other)])


def test_a_run_that_is_not_there_yet_is_a_note_or_a_mistake(toy: Any) -> None:
    missing = loading(toy.directory / "nothing")
    assert checked(toy, missing, missing_ok=True)[1] == [
        f"the run {toy.directory}/nothing, which is loaded from, is not here yet"
    ]
    (message,), _ = checked(toy, missing)
    assert message == f"there is no run {toy.directory}/nothing; train it first, or name another one in `load`"
    with pytest.raises(UsageError, match="there is no run"):
        toy.train("from-nothing", [missing])


def test_what_is_no_run_is_told(toy: Any, source: Path) -> None:
    empty, group, young = (toy.directory / name for name in ("empty", "group", "young"))
    for path in (empty, group, young):
        path.mkdir()
    (group / "repeat.json").write_text("{}")
    (young / "spec.yaml").write_text("name: toy\n")
    for path, message in (
        (empty, "is not a run directory (it has no spec.yaml)"),
        (toy.directory, f"is not a run directory (it has no spec.yaml); there are {source.resolve()}"),
        (group, f"holds repeated runs; name one of them, such as {group}/1"),
        (young, "has no checkpoint yet, so nothing can be loaded from it"),
    ):
        found, _ = checked(toy, loading(path), missing_ok=True)
        assert message in found[0]


@pytest.mark.parametrize("content", [b"", b"\x05\0\0\0\0\0\0\0[1,2]", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}"[:9]])
def test_a_damaged_file_of_weights_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read: this is no safetensors file"):
        read_shapes(path)


def test_the_header_says_the_shapes(source: Path) -> None:
    path = source / "checkpoints" / "best" / "network.safetensors"
    assert read_shapes(path) == {name: tuple(value.shape) for name, value in load_file(path).items()}


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "specs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_planned_sizes_of_layers_are_those_of_the_built_network(path: Path) -> None:
    experiment = load_experiment(path)
    plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    state = build_network(plan, 1).state_dict()
    planned: dict[str, int] = {}
    for node in plan.nodes.values():
        planned.update(sizes(node))
    assert planned
    for layer, size in planned.items():
        assert sum(value.numel() for name, value in state.items() if name.startswith(f"{layer}.")) == size, layer
    assert sum(planned.values()) == sum(value.numel() for value in state.values())


def test_the_check_needs_no_torch(source: Path, toy: Any) -> None:
    program = f"""
import sys
from engine.graph.plan import input_types, plan_network
from engine.spec.load import load_experiment
from engine.training.logs import read_log
from engine.training.sources import check_loads
experiment = load_experiment({str(toy.spec)!r}, [{loading(source)!r}])
plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
assert check_loads(experiment, plan, False) == ([], [])
assert "torch" not in sys.modules and "numpy" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
