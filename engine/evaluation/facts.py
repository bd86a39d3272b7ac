"""What the report says besides metrics: where the numbers come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from engine.data.store import PreparedDataset
    from engine.graph.planned import Plan
    from engine.runs import RunDirectory
    from engine.spec.experiment import Experiment

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ReportFacts:
    """Facts about a run.

    Attributes:
        name: of the experiment.
        run: where the run is.
        environment: device, versions, start; as `environment.json`.
        rows: sample -> rows of (train, validation, test).
        ledger: what became of each source file, as the prepared dataset's manifest says.
        not_finite: features that are NaN or infinite somewhere: feature, sample, number, of how many values.
        nodes: lines of the table of nodes: name, source, layers, output, trainable, fixed.
        spec: the resolved spec as YAML.
        content: hash of the prepared data.
        picture: the graph as an SVG; empty where there is none.
    """

    name: str
    run: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ledger: Sequence[Mapping[str, Any]] = ()
    not_finite: Sequence[tuple[str, str, int, int]] = ()
    nodes: Sequence[tuple[str, str, str, str, int, int]] = ()
    spec: str = ""
    content: str = ""
    picture: str = ""


def collect_facts(experiment: Experiment, plan: Plan, dataset: PreparedDataset, run: RunDirectory) -> ReportFacts:
    """The facts of a run."""
    from engine.data.finite import not_finite
    from engine.graph.picture import svg

    rows = {sample: np.zeros(len(SPLITS), dtype=np.int64) for sample in dataset.manifest["samples"]}
    for shard in dataset.manifest["shards"]:
        rows[shard["sample"]] += np.asarray(shard["splits"], dtype=np.int64)
    environment = json.loads(run.environment.read_text(encoding="utf-8")) if run.environment.is_file() else {}
    return ReportFacts(
        name=experiment.name,
        run=run.results.relative_to(run.path.parent.parent).as_posix(),
        environment=environment,
        rows={sample: counts.tolist() for sample, counts in rows.items()},
        ledger=dataset.manifest["ledger"],
        not_finite=[astuple(each) for each in not_finite(dataset)],
        nodes=[(row.name, row.sources, row.layers, row.output, row.trainable, row.fixed) for row in plan.table],
        spec=experiment.document.to_yaml(),
        content=dataset.contract()["content"],
        picture=svg(plan),
    )
