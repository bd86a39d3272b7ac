"""The `training:` section: plain values that the schema finds right to typed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path
from engine.spec.defaults import choice, complete
from engine.spec.expressions import parse
from engine.spec.sections import (
    ChoiceSpec,
    EarlyStoppingSpec,
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
    streams = {
        name: StreamSpec(name, tuple(value["samples"]), value["batch"], (*path, "streams", name))
        for name, value in training["streams"].items()
    }
    only = next(iter(streams)) if streams else ""
    updates = enumerate(training["updates"])
    return TrainingSpec(
        epochs=training["epochs"],
        precision=training["precision"],
        streams=streams,
        losses={k: _loss(k, v, only, (*path, "losses", k)) for k, v in training["losses"].items()},
        updates=tuple(_update(value, (*path, "updates", index)) for index, value in updates),
        best=_monitor(training["best"], (*path, "best")),
        early_stopping=_early_stopping(training["early_stopping"], (*path, "early_stopping")),
        steps_per_epoch=training["steps_per_epoch"],
        checkpoint_every=training["checkpoint_every"],
        validation_batch=training["validation_batch"],
        histograms_every=training["histograms_every"],
        log_every=training["log_every"],
        deterministic=training["deterministic"],
        path=path,
    )


def _loss(name: str, value: str | Plain, only_stream: str, path: Path) -> LossSpec:
    kind, options = choice(value, LOSSES)
    return LossSpec(
        name=name,
        kind=kind,
        of=options.pop("of"),
        target=options.pop("target"),
        stream=options.pop("stream", only_stream),
        weight=options.pop("weight"),
        options=options,
        path=(*path, kind),
    )


def _choice(value: str | Plain, reference: str, path: Path) -> ChoiceSpec:
    kind, options = choice(value, reference)
    return ChoiceSpec(kind, options, path)


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
