"""One look for all figures: fonts, colours that colour-blind readers can tell apart, axis titles, stamps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
"""The sequence of ten of M. A. Petroff, arXiv:2107.02270."""
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
GREY = "#555555"
NARROW = 30.0  # a logarithmic axis whose ends are closer than this factor has labels between the powers of ten
LETTER, HANDLE = 5.6, 42.0  # width in points of a letter of a legend, and of what stands before its text
SYMBOLS = {
    "pt": r"$p_\mathrm{T}$",
    "eta": r"$\eta$",
    "phi": r"$\phi$",
    "mass": r"$m$",
    "energy": r"$E$",
    "d0": r"$d_0$",
    "z0": r"$z_0$",
}


def colour(index: int) -> str:
    """Colour of the i-th thing drawn."""
    return COLOURS[index % len(COLOURS)]


def line(index: int) -> Any:
    """Line style of the i-th thing drawn; changes when the colours start again, so that ten and more stay different."""
    return LINES[(index // len(COLOURS)) % len(LINES)]


def axis_title(name: str, units: Mapping[str, str]) -> str:
    """Title of the axis of a column: its symbol where it has a common one, and its unit."""
    symbol = SYMBOLS.get(name, name)
    return f"{symbol} [{units[name]}]" if units.get(name) else symbol


@contextmanager
def style() -> Iterator[None]:
    """Everything drawn inside has the project's look; nothing outside is changed."""
    import matplotlib

    with matplotlib.rc_context(_settings()):
        yield


def _settings() -> Any:
    import mplhep
    from matplotlib import font_manager

    present = {font.name for font in font_manager.fontManager.ttflist}
    settings = {key: value for key, value in mplhep.style.ATLAS.items() if not key.startswith(("font", "mathtext"))}
    fonts = [name for name in ("TeX Gyre Heros", "Helvetica", "Arial", "DejaVu Sans") if name in present]
    return settings | {
        "font.family": "sans-serif",
        "font.sans-serif": fonts,
        "font.size": 12,
        "mathtext.fontset": "stixsans" if fonts[0] != "DejaVu Sans" else "dejavusans",
        "axes.labelsize": 14,
        "axes.labelpad": 6,
        "axes.autolimit_mode": "data",
        "axes.formatter.limits": (-3, 6),
        "axes.formatter.use_mathtext": False,  # a label is parsed as a formula for 6 ms, a plain one is drawn at once
        "axes.unicode_minus": True,
        "xtick.labelsize": 12,
        "ytick.labelsize": 12,
        "xtick.major.size": 6,
        "xtick.minor.size": 3,
        "ytick.major.size": 6,
        "ytick.minor.size": 3,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "legend.fontsize": 11,
        "legend.borderpad": 0.4,
        "figure.dpi": 150,
    }


def new_figure(width: float = 7.0, height: float = 5.4) -> Figure:
    """An empty figure that belongs to no window system and arranges its parts by itself; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def with_ratio(figure: Figure, place: Any = None) -> tuple[Axes, Axes]:
    """A large panel with a small one below that shares its abscissa, in the figure or in one place of its grid."""
    layout: Any = {"nrows": 2, "ncols": 1, "height_ratios": [3, 1], "hspace": 0.04}
    grid = figure.add_gridspec(**layout) if place is None else place.subgridspec(**layout)
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    upper.tick_params(labelbottom=False)
    return upper, lower


def stamp(axes: Axes, left: str, right: str = "") -> None:
    """What the figure is of, above its frame: bold on the left, small on the right.

    A given height spares the search for one, which looks at every tick again: a fifth of the time of a figure.
    """
    axes.set_title(left, loc="left", fontsize=13, fontweight="bold", pad=6, y=1.0)
    axes.set_title(right, loc="right", fontsize=11, color=GREY, pad=6, y=1.0)


def log_height(axes: Axes, lowest: float, highest: float) -> None:
    """A logarithmic ordinate from below the lowest content to above the highest, errors included; a decade at least."""
    axes.set_ylim(min(lowest / 2, highest / 10), 1.5 * highest)  # first: such an axis over nothing positive warns
    log_scale(axes)


def log_scale(axes: Axes) -> None:
    """A logarithmic ordinate with powers of ten at its ticks, or, where it spans little more than one, 1, 2, 5, 10."""
    from matplotlib.ticker import FuncFormatter

    def title(value: float, _: int | None = None) -> str:
        low, high = axes.get_ylim()
        power = math.floor(math.log10(value) + 1e-9)
        digit = round(value / 10.0**power)
        if high < NARROW * low:
            return f"{value:g}" if digit in (1, 2, 5) else ""
        return f"$\\mathdefault{{10^{{{power}}}}}$" if digit == 1 else ""

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(title))
    axes.yaxis.set_minor_formatter(FuncFormatter(title))


def make_room(axes: Axes, share: float, floor: float | None = None) -> None:
    """Raise the upper end of the ordinate so that `share` of the panel's height is free above the data for a legend."""
    low, high = axes.get_ylim()
    low = floor if floor is not None else low
    if axes.get_yscale() == "log":
        axes.set_ylim(low, low * (high / low) ** (1 / (1 - share)))
    else:
        axes.set_ylim(low, low + (high - low) / (1 - share))


def legend_above(axes: Axes, columns: int | None = None, title: str | None = None, floor: float | None = None) -> None:
    """A legend at the top of the panel, in room made for it."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    columns = columns or _columns(axes, labels)
    rows = [labels[start : start + columns] for start in range(0, len(labels), columns)]
    lines = sum(1 + max(label.count("\n") for label in row) for row in rows) + (title is not None)
    make_room(axes, min(0.55, 0.06 + 0.055 * lines), floor)
    paper = {"frameon": True, "facecolor": "white", "framealpha": 1.0, "edgecolor": "none"}  # lines of cuts lie behind
    axes.legend(loc="upper right", ncols=columns, title=title, columnspacing=1.2, handlelength=1.8, **paper)


def _columns(axes: Axes, labels: Sequence[str]) -> int:
    """As many entries of a legend side by side as the panel is wide enough for."""
    width = 72 * axes.get_position().width * axes.get_figure(root=True).get_figwidth()  # type: ignore[union-attr]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    return max(1, min(len(labels), int(width / (LETTER * longest + HANDLE))))
