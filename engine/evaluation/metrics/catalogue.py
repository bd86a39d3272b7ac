"""Importing this fills the table of metrics. A new metric: its file, a line here, its options in the schema."""

from __future__ import annotations

from engine.evaluation.metrics import (  # noqa: F401 (each enters itself in the table)
    accuracy,
    asymmetry,
    auc,
    binomial,
    confusion_matrix,
    discriminant,
    distance,
    efficiency,
    importance_sampling,
    object_selection,
    precision_recall,
    residuals,
    roc,
    s_over_sqrt_b,
    weighted_ks,
)
from engine.evaluation.metrics.registry import METRICS, compute

__all__ = ["METRICS", "compute"]
