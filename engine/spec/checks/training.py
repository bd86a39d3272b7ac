"""Streams, losses, updates and what is watched: everything they refer to."""

from __future__ import annotations

import math
from collections.abc import Iterator

from engine.errors import Mistake, Path
from engine.spec.checks.names import check_plain_names, parts, unknown
from engine.spec.checks.phases import check_phases
from engine.spec.checks.targets import by_label, of_rows
from engine.spec.checks.weights import weight_names
from engine.spec.experiment import Experiment
from engine.spec.expressions import FUNCTIONS, Expression
from engine.spec.sections import LossSpec, SampleSpec, StreamSpec, TargetSpec, TrainingSpec, UpdateSpec
from engine.spec.sections.training import CLASSIFICATION
from engine.spec.suggest import hint
from engine.spec.syntax import Arithmetic, Name, Negative, Node, Number

SCORES = ("accuracy", "auc")
LABELLED: tuple[Path, ...] = (("data", "samples"), ("training", "streams"), ("training", "phases"))
"""What must be whole to say that no sample has a class."""


def check_training(experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of `training:`."""
    training = experiment.training
    for loss in training.losses.values():
        yield from _loss(loss, experiment)
    yield from _untaught(experiment)
    yield from check_phases(experiment)
    found: dict[Mistake, None] = {}
    for phase in training.stages:
        found.update(dict.fromkeys(_phase(phase, experiment)))
    yield from found


def _phase(training: TrainingSpec, experiment: Experiment) -> Iterator[Mistake]:
    """Mistakes of a phase, or of the whole where there are none."""
    for stream in training.streams.values():
        for index, name in enumerate(stream.samples):
            if name not in experiment.data.samples:
                yield unknown("sample", name, experiment.data.samples, (*stream.path, "samples", index))
    for update in training.updates:
        yield from _update(update, experiment)
    if training.best is not None:
        yield from check_metric(training.best.metric, (*training.best.path, "metric"), experiment)
    if training.early_stopping is not None:
        monitor = training.early_stopping.monitor
        yield from check_metric(monitor.metric, (*monitor.path, "metric"), experiment)


def _loss(loss: LossSpec, experiment: Experiment) -> Iterator[Mistake]:
    data, training = experiment.data, experiment.training
    node = loss.of.partition(".")[0]
    if node not in experiment.model.graph:
        what = "; it is an input, losses compare nodes" if node in data.inputs else hint(node, experiment.model.graph)
        yield Mistake((*loss.path, "of"), f"there is no node `{node}`{what}")
    if loss.weight is not None and loss.weight not in weight_names(data):
        yield unknown("weight", loss.weight, weight_names(data), (*loss.path, "weight"))
    given = experiment.document.get((*loss.path, "stream")) is not None
    if not given and len(training.streams) > 1:
        names = ", ".join(f"`{name}`" for name in training.streams)
        yield Mistake(loss.path, f"`{loss.name}` must say on which `stream` it is computed: {names}")
    elif loss.stream not in training.streams:
        yield unknown("stream", loss.stream, training.streams, (*loss.path, "stream"))
    if loss.where is not None:
        rows = [target for target in of_rows(data) if not target.components]
        known = [*(target.name for target in rows), *(name for target in rows for name in target.classes)]
        lack = "no target with one value a row, and no class of one, is called"
        yield from check_plain_names(loss.where, known, lack, (*loss.path, "where"))
        if reductions := sorted(name for name in loss.where.functions if FUNCTIONS[name].of_objects):
            yield Mistake(
                (*loss.path, "where"), f"`{reductions[0]}` has no objects to run over; write a condition of targets"
            )
    if loss.target is not None and loss.target not in data.targets:
        yield unknown("target", loss.target, data.targets, (*loss.path, "target"))
    elif loss.target is not None:
        yield from _classes(loss, data.targets[loss.target], experiment)


def _classes(loss: LossSpec, target: TargetSpec, experiment: Experiment) -> Iterator[Mistake]:
    """Whether the target has what the kind of loss and the stream ask for."""
    path = (*loss.path, "target")
    if loss.kind == "cross_entropy" and not target.classes:
        yield Mistake(path, f"`{target.name}` has no classes; `cross_entropy` is for classes, use `squared_error`")
    if loss.kind == "binary_cross_entropy" and len(target.classes) > 2:
        message = f"`{target.name}` has {len(target.classes)} classes; use `cross_entropy` for more than two"
        yield Mistake(path, message)
    if loss.kind == "binary_cross_entropy" and target.components:
        yield Mistake(path, f"`{target.name}` is a vector; `binary_cross_entropy` is for one value, use `distance`")
    if loss.kind == "distance" and not target.classes and not target.components:
        yield Mistake(path, f"`{target.name}` is no vector; `distance` is for vectors, use `absolute_error`")
    if loss.kind not in CLASSIFICATION and target.classes:
        yield Mistake(path, f"`{target.name}` has classes; `{loss.kind}` is for numbers, use `cross_entropy`")
    stream = experiment.training.streams.get(loss.stream)
    if stream is None or not target.classes or target.expressions:
        return
    samples = _samples(stream, experiment)
    if samples and not any(label in target.classes for sample in samples for label in sample.labels):
        classes = ", ".join(f"`{name}`" for name in by_label(target))
        message = f"no sample of the stream `{stream.name}` has a class of `{target.name}` ({classes})"
        yield Mistake(path, message, rests_on=LABELLED)


def _untaught(experiment: Experiment) -> Iterator[Mistake]:
    """Classes that no stream of the losses of an output has a sample of, in any phase."""
    for (output, name), minimised in experiment.training.classified.items():
        target = experiment.data.targets.get(name)
        streams = [stage.streams[loss.stream] for stage, loss in minimised if loss.stream in stage.streams]
        if target is None or not streams or len(target.classes) < 2:
            continue
        labels = {label for stream in streams for sample in _samples(stream, experiment) for label in sample.labels}
        absent = [label for label in by_label(target) if label not in labels]
        if absent and labels.intersection(target.classes):
            loss = minimised[0][1]
            message = (
                f"no sample of the stream `{loss.stream}` has the class {', '.join(f'`{each}`' for each in absent)} of "
                f"`{target.name}`, so `{output}` cannot learn it; add such a sample, or take it out of `classes`"
            )
            yield Mistake((*loss.path, "target"), message, rests_on=LABELLED)


def _samples(stream: StreamSpec, experiment: Experiment) -> list[SampleSpec]:
    """The samples of a stream that there are."""
    return [experiment.data.samples[name] for name in stream.samples if name in experiment.data.samples]


def _update(update: UpdateSpec, experiment: Experiment) -> Iterator[Mistake]:
    nodes = experiment.model.graph
    path = (*update.path, "minimize")
    losses = experiment.training.losses
    yield from check_plain_names(update.minimize, losses, "there is no loss", path)
    if not update.minimize.names:
        yield Mistake(path, "there is no loss in what is to be minimised")
    if not _is_combination(update.minimize):
        yield Mistake(path, "losses are combined with + - * / and numbers alone")
    elif not _has_finite_numbers(update.minimize):
        yield Mistake(path, f"`{update.minimize}` divides by zero or has a factor that is not finite")
    options = update.optimizer.options
    if options.get("nesterov") and not options.get("momentum"):
        message = "`nesterov` looks ahead by the momentum; write a `momentum` above 0 too"
        yield Mistake((*update.optimizer.path, update.optimizer.kind, "nesterov"), message)
    moved: Path = (*update.path, "parameters")
    for where, names in ((moved, update.nodes), ((*moved, "except"), update.except_nodes)):
        for index, name in enumerate(names):
            if name not in nodes:
                yield unknown("node", name, nodes, (*where, index))
    if update.except_nodes and set(update.except_nodes) >= set(nodes):
        message = "all nodes are excepted, so nothing is left to train"
        yield Mistake(moved, message, rests_on=(("model", "graph"),))
    if update.schedule is not None and isinstance(update.schedule.options.get("metric"), str):
        where = (*update.schedule.path, update.schedule.kind, "metric")
        yield from check_metric(update.schedule.options["metric"], where, experiment)


def _is_combination(expression: Expression) -> bool:
    waiting: list[Node] = [expression.root]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Name | Number | Negative | Arithmetic):
            return False
        if isinstance(node, Arithmetic) and node.symbol not in ("+", "-", "*", "/"):
            return False
        waiting.extend(parts(node))
    return True


def _has_finite_numbers(expression: Expression) -> bool:
    """Whether every part without a name has a finite value, and none of them that divides is 0."""
    waiting: list[Node] = [expression.root]
    while waiting:
        node = waiting.pop()
        divisor = _number(node.right) if isinstance(node, Arithmetic) and node.symbol == "/" else None
        if divisor == 0 or not math.isfinite(_number(node) or 0.0):
            return False
        waiting.extend(parts(node))
    return True


def _number(node: Node) -> float | None:
    """The value of a part of a combination; None where it depends on losses."""
    try:
        return float(node.evaluate(dict[str, float]().__getitem__, {}))
    except KeyError:
        return None


def check_metric(metric: str, path: Path, experiment: Experiment) -> Iterator[Mistake]:
    """The name of a value that training logs: `validation.<loss>`, `validation.<loss>.auc`, `validation.total`."""
    losses = experiment.training.losses
    split, _, rest = metric.partition(".")
    name, dot, score = rest.partition(".")
    known = [f"{split}.{each}" for each in (*losses, "total")]
    if name not in losses and name != "total":
        yield Mistake(path, f"training logs no `{metric}`{hint(metric, known)}")
    elif split == "validation" and experiment.data.split.validation <= 0:
        message = f"there is no `{metric}`: `data.split` leaves no rows for validation; write `train.{name}`"
        yield Mistake(path, message)
    elif dot and (split != "validation" or name == "total" or losses[name].kind not in CLASSIFICATION):
        yield Mistake(path, f"training logs no `{metric}`; write `{split}.{name}`")
    elif dot and score not in SCORES:
        known = [f"{split}.{name}", *(f"{split}.{name}.{each}" for each in SCORES)]
        yield Mistake(path, f"training logs no `{metric}`{hint(metric, known)}")
