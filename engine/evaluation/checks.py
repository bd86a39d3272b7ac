"""What metrics and plots ask of the network, held against what it gives; needs the planned graph, but no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.errors import Mistake
from engine.graph.types import TensorType
from engine.spec.checks.names import unknown
from engine.spec.experiment import Experiment
from engine.spec.sections import ChoiceSpec

AXES = {"row": 0, "objects": 1, "pairs": 2}
WORDS = {0: "a row", 1: "objects", 2: "pairs of objects"}


def check_evaluated(experiment: Experiment, types: Mapping[str, TensorType]) -> Iterator[Mistake]:
    """Outputs that no node has, and outputs and targets that are not of the same things.

    Args:
        experiment: with an evaluation.
        types: of everything that the network can be asked for.
    """
    evaluation = experiment.evaluation
    for spec in (*(evaluation.metrics or ()), *(evaluation.plots or ())):
        for key in ("of", "covariance"):
            name = spec.options.get(key)
            if name is not None and name not in types:
                yield unknown("output", name, types, (*spec.path, key))
        yield from _same_things(spec, experiment, types)


def _same_things(spec: ChoiceSpec, experiment: Experiment, types: Mapping[str, TensorType]) -> Iterator[Mistake]:
    of = spec.options.get("of")
    if of not in types:
        return
    name = spec.options.get("target") or experiment.trained_on.get(str(of).removesuffix(".logits"))
    target = experiment.data.targets.get(name) if name else None
    if target is None or len(types[str(of)].objects) == AXES[target.kind]:
        return
    found = WORDS.get(len(types[str(of)].objects), "something else")
    message = f"`{of}` is of {found} and the target `{name}` of {WORDS[AXES[target.kind]]}; they cannot be compared"
    yield Mistake((*spec.path, "target" if spec.options.get("target") else "of"), message)
