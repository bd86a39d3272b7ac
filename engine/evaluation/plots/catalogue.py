"""Importing this fills the table of plots. A new plot: its file, a line here, its options in the schema."""

from __future__ import annotations

from engine.evaluation.plots import (  # noqa: F401 (each enters itself in the table)
    confusion_matrix,
    efficiency,
    history,
    residuals,
    roc,
    s_over_sqrt_b,
    scores,
    weighted_ks,
)
from engine.evaluation.plots.registry import PLOTS, Drawing, PlotContext, draw

__all__ = ["PLOTS", "Drawing", "PlotContext", "draw"]
