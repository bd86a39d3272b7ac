"""What a trained network needs to be used on other files: which rows, and inputs that these files have, too."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.errors import Mistake, Path
from engine.spec.checks.features import LARGEST
from engine.spec.experiment import Experiment
from engine.spec.expressions import Expression
from engine.spec.sections import DataSpec, FeatureSpec, InputSpec
from engine.spec.vocabularies import as_number


def check_exporting(experiment: Experiment) -> Iterator[Mistake]:
    """Exporters, and names that only the samples of the training know."""
    yield from _exporters(experiment)
    for spec in experiment.data.inputs.values():
        yield from _known_names(spec, experiment.data)
        for feature in spec.features.values() if experiment.export and spec.text is None else ():
            yield from _distinct(feature)


def _exporters(experiment: Experiment) -> Iterator[Mistake]:
    names: set[str] = set()
    for spec in experiment.export:
        if experiment.data.predict is None:
            message = (
                f"`{spec.kind}` takes the fields of the rows that are predicted, and the spec does not say which; "
                "write `predict:` in `data`, as in `predict: {rows: good_jets}`"
            )
            yield Mistake(spec.path, message)
        name = spec.options["name"]
        if name in names:
            yield Mistake(spec.path, f"two exporters write a file named `{name}`; give one of them another `name`")
        names.add(name)


def _distinct(feature: FeatureSpec) -> Iterator[Mistake]:
    """Whether the numbers of a vocabulary differ in float32, which an exported network gets its fields in."""
    seen: dict[bytes, str] = {}
    for token in feature.vocabulary.tokens if feature.vocabulary is not None else ():
        number = as_number(token)
        if number is None or abs(number) > LARGEST:
            continue
        other = seen.setdefault(struct.pack("f", number), token)
        if other != token:
            message = f"the tokens {other} and {token} are the same in float32, which exported networks compute in"
            yield Mistake((*feature.path, "vocabulary"), message)
            return


def _known_names(spec: InputSpec, data: DataSpec) -> Iterator[Mistake]:
    """`matched.<field>` is known in training only, `constants.<name>` where `predict` says it."""
    for path, expression in _expressions(spec):
        for name in sorted(expression.names):
            prefix, _, field = name.partition(".")
            message = None
            if prefix == "matched":
                message = f"an input cannot be made of `{name}`: rows that are predicted are matched to nothing"
            elif prefix == "constants" and data.predict is not None and field not in data.predict.constants:
                message = (
                    f"rows that are predicted have no constant `{field}`; "
                    f"write `constants: {{{field}: <value>}}` in `predict`"
                )
            if message is not None:
                yield Mistake(path, message, expression.offsets.get(name, 0))


def _expressions(spec: InputSpec) -> Iterator[tuple[Path, Expression]]:
    every: dict[Path, Expression | None] = {(*spec.path, "order"): spec.order, (*spec.path, "where"): spec.where}
    for feature in spec.features.values():
        every[*feature.path, "expression"] = feature.expression
        every[*feature.path, "mirror"] = feature.mirror
    yield from ((path, expression) for path, expression in every.items() if expression is not None)
