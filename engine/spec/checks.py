"""What a schema cannot say: whether the names in a spec fit together."""

from __future__ import annotations

from engine.errors import Mistake
from engine.spec.experiment import Experiment


def check_experiment(experiment: Experiment) -> list[Mistake]:
    """All mistakes of a typed experiment that can be seen without planning its graph or opening its files."""
    return []
