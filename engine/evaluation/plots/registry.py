"""The table of plots: a kind in a spec -> the function that draws it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.evaluation.history import History
from engine.evaluation.metrics.registry import selection_of
from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.plots.style import style
from engine.evaluation.predictions import Predictions
from engine.evaluation.unavailable import UnavailableError
from engine.files import complete

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPRESSION = 3  # of PNG files: a third of the time of the usual 6 for files that are a tenth larger
PLOTS: dict[str, Plot] = {}
"""Kind -> plot; filled when `engine.evaluation.plots.catalogue` is imported."""


@dataclass(frozen=True)
class Drawing:
    """A figure, the name of its files and the sentence below it; where there is nothing to draw, None and why."""

    name: str
    figure: Figure | None
    caption: str

    def save(self, folder: Path) -> Path | None:
        """Write PNG and PDF; returns the path of the PNG, None where there is nothing to draw.

        Files of an earlier evaluation do not stay where there is nothing any more.
        """
        if self.figure is None:
            for ending in (".png", ".pdf"):
                (folder / f"{safe_name(self.name)}{ending}").unlink(missing_ok=True)
            return None
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_pdf import FigureCanvasPdf

        png = folder / f"{safe_name(self.name)}.png"
        with style():  # the canvases are used directly because `savefig` draws everything twice
            raster: Any = FigureCanvasAgg(self.figure)
            with complete(png) as unfinished:
                raster.print_png(unfinished, pil_kwargs={"compress_level": COMPRESSION})
            self.figure.set_layout_engine("none")  # arranged once for both files
            vector: Any = FigureCanvasPdf(self.figure)
            with complete(png.with_suffix(".pdf")) as unfinished:
                vector.print_pdf(unfinished, metadata={"CreationDate": None})
        return png


def safe_name(name: str) -> str:
    """A name without characters that a file's name should not have."""
    return re.sub(r"[^A-Za-z0-9_.+=-]+", "_", name)


@dataclass(frozen=True)
class PlotContext:
    """What plots are made of.

    Attributes:
        title: name of the experiment, stamped on every figure.
        predictions: outputs on the evaluated split.
        results: the computed metrics.
        history: losses and metrics of the training.
        units: unit of each column that has one.
    """

    title: str
    predictions: Predictions
    results: Sequence[MetricResult] = ()
    history: History = field(default_factory=History)
    units: Mapping[str, str] = field(default_factory=dict)

    def rows_of(self, result: MetricResult) -> Predictions:
        """The rows that a metric was computed of: those of its selection.

        Raises:
            UnavailableError: there are none.
        """
        return selection_of(self.predictions, result.options.get("selection"))

    def results_of(self, kind: str, metric: str | None) -> list[MetricResult]:
        """The computed metrics of a kind, or the named one.

        Raises:
            UnavailableError: there is none.
        """
        found = [result for result in self.results if result.kind == kind and metric in (None, result.name)]
        if not found:
            message = (
                f"there is no metric {metric} of kind {kind}" if metric else f"no metric of kind {kind} was computed"
            )
            raise UnavailableError(message)
        return found


def file_name(name: str, results: Sequence[MetricResult], result: MetricResult) -> str:
    """Name of the figure of a metric: the metric's where the plot has only the name of its kind."""
    if name == result.kind:
        return result.name
    return name if len(results) == 1 else f"{name}_{result.name}"


@dataclass(frozen=True)
class Plot:
    """A kind of plot. The function's keyword arguments are its options, as the schema lists them."""

    kind: str
    function: Callable[..., list[Drawing]]

    @property
    def defaults(self) -> dict[str, Any]:
        """Options and their defaults."""
        parameters = list(inspect.signature(self.function).parameters.values())[2:]
        return {parameter.name: parameter.default for parameter in parameters}


def plot(kind: str) -> Callable[[Callable[..., list[Drawing]]], Callable[..., list[Drawing]]]:
    """Enter a function `(context, name, **options) -> drawings` in the table; two of one kind are refused."""

    def enter(function: Callable[..., list[Drawing]]) -> Callable[..., list[Drawing]]:
        if kind in PLOTS:
            message = f"there are two plots of kind {kind}"
            raise ValueError(message)
        PLOTS[kind] = Plot(kind, function)
        return function

    return enter


def draw(kind: str, name: str, options: Mapping[str, Any], context: PlotContext) -> list[Drawing]:
    """Draw one plot. Where there is nothing to draw, a sentence says why."""
    chosen = PLOTS[kind]
    complete = {**chosen.defaults, **{key: value for key, value in options.items() if key != "name"}}
    with style():
        try:
            return chosen.function(context, name, **complete)
        except UnavailableError as error:
            return [empty_drawing(name, str(error))]


def empty_drawing(name: str, reason: str) -> Drawing:
    """A sentence in place of a figure."""
    return Drawing(name, None, f"{reason[:1].upper()}{reason[1:]}.")
