"""The `training:` section: plain values that the schema finds right to typed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.errors import Path
from engine.spec.defaults import choice, complete
from engine.spec.expressions import parse
from engine.spec.sections import (
    ChoiceSpec,
    EarlyStoppingSpec,
    LoadSpec,
    LossSpec,
    MonitorSpec,
    StreamSpec,
    TrainingSpec,
    UpdateSpec,
)

Plain = Mapping[str, Any]

LOSSES = "losses.json#/$defs"
OPTIMIZERS = "optimizers.json#/$defs/optimizers"
SCHEDULES = "optimizers.json#/$defs/schedules"


def build_training(raw: dict[str, Any]) -> TrainingSpec:
    """The typed section; `raw` are its plain values, valid but without defaults."""
    training = complete(raw, "training.json")
    path: Path = ("training",)
    streams = _streams(training["streams"], path)
    only = next(iter(streams)) if streams else ""
    whole = TrainingSpec(
        epochs=training["epochs"],
        precision=training["precision"],
        streams=streams,
        losses={k: _loss(k, v, only, (*path, "losses", k)) for k, v in training["losses"].items()},
        updates=_updates(training["updates"], path),
        best=_monitor(training["best"], (*path, "best")),
        early_stopping=_early_stopping(training["early_stopping"], (*path, "early_stopping")),
        steps_per_epoch=training["steps_per_epoch"],
        checkpoint_every=training["checkpoint_every"],
        validation_batch=training["validation_batch"],
        histograms_every=training["histograms_every"],
        validations_per_epoch=training["validations_per_epoch"],
        log_every=training["log_every"],
        deterministic=training["deterministic"],
        load=_load(training["load"], (*path, "load")),
        freeze=tuple(training["freeze"]),
        path=path,
    )
    given = enumerate(zip(raw.get("phases", ()), training["phases"], strict=True))
    phases = (_phase(whole, {k: full[k] for k in own}, (*path, "phases", index)) for index, (own, full) in given)
    return replace(whole, phases=tuple(phases))


def _phase(whole: TrainingSpec, given: Plain, path: Path) -> TrainingSpec:
    """A phase with all that it takes over; `given` are the keys that stand in the spec, completed."""
    builders: dict[str, Callable[[Any], Any]] = {
        "streams": lambda value: {**whole.streams, **_streams(value, path)},
        "updates": lambda value: _updates(value, path),
        "best": lambda value: _monitor(value, (*path, "best")),
        "early_stopping": lambda value: _early_stopping(value, (*path, "early_stopping")),
        "load": lambda value: _load(value, (*path, "load")),
        "freeze": tuple,
    }
    own = {key: builders[key](value) if key in builders else value for key, value in given.items()}
    return replace(whole, **{"load": None, **own, "path": path})


def _streams(values: Plain, path: Path) -> dict[str, StreamSpec]:
    return {
        name: StreamSpec(name, tuple(value["samples"]), value["batch"], (*path, "streams", name))
        for name, value in values.items()
    }


def _loss(name: str, value: str | Plain, only_stream: str, path: Path) -> LossSpec:
    kind, options = choice(value, LOSSES)
    where = options.pop("where")
    return LossSpec(
        name=name,
        kind=kind,
        of=options.pop("of"),
        target=options.pop("target", None),
        stream=options.pop("stream", only_stream),
        weight=options.pop("weight"),
        where=None if where is None else parse(where),
        mean=options.pop("mean"),
        options=options,
        path=(*path, kind),
    )


def _load(value: Plain | None, path: Path) -> LoadSpec | None:
    if value is None:
        return None
    nodes = value["nodes"]
    if isinstance(nodes, list):
        nodes = {name: name for name in nodes}
    return LoadSpec(value["from"], value["checkpoint"], nodes, path)


def _choice(value: str | Plain, reference: str, path: Path) -> ChoiceSpec:
    kind, options = choice(value, reference)
    return ChoiceSpec(kind, options, path)


def _updates(values: Sequence[Plain], path: Path) -> tuple[UpdateSpec, ...]:
    return tuple(_update(value, (*path, "updates", index)) for index, value in enumerate(values))


def _update(value: Plain, path: Path) -> UpdateSpec:
    parameters = value["parameters"]
    named = isinstance(parameters, list)
    schedule = value["schedule"]
    return UpdateSpec(
        minimize=parse(value["minimize"]),
        nodes=tuple(parameters) if named else (),
        except_nodes=() if named else tuple(parameters["except"]),
        optimizer=_choice(value["optimizer"], OPTIMIZERS, (*path, "optimizer")),
        schedule=None if schedule is None else _choice(schedule, SCHEDULES, (*path, "schedule")),
        repeat=value["repeat"],
        clip_norm=value["clip_norm"],
        path=path,
    )


def _monitor(value: Plain | None, path: Path) -> MonitorSpec | None:
    return None if value is None else MonitorSpec(value["metric"], value["mode"], path)


def _early_stopping(value: Plain | None, path: Path) -> EarlyStoppingSpec | None:
    if value is None:
        return None
    monitor = MonitorSpec(value["metric"], value["mode"], path)
    return EarlyStoppingSpec(monitor, value["patience"], float(value["min_delta"]))
