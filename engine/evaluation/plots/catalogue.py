"""Importing this fills the table of plots. A new plot: its file, a line here, its options in the schema."""

from __future__ import annotations

from engine.evaluation.plots import (  # noqa: F401 (each enters itself in the table)
    binomial,
    confusion_matrix,
    discriminant,
    distance,
    efficiency,
    history,
    object_selection,
    precision_recall,
    residuals,
    roc,
    s_over_sqrt_b,
    scores,
    shapes,
    weighted_ks,
)
from engine.evaluation.plots.registry import PLOTS, Drawing, PlotContext, draw

__all__ = ["PLOTS", "Drawing", "PlotContext", "draw"]
