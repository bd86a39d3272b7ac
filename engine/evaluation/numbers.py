"""Numbers as physicists write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def with_error(value: float | None, error: float | None = None, lower_limit: float | None = None) -> str:
    """A value with its error, both to two digits of the error: `0.9497 ± 0.0021`.

    Where there is no value, its lower limit (95 % CL), and without one a dash.

    Example:
        >>> with_error(123.456, 2.34), with_error(0.5), with_error(None), with_error(None, None, 333.8)
        ('123.5 ± 2.3', '0.5', '–', '> 333.8 (95 % CL)')
    """
    if value is None or not math.isfinite(value):
        return "–" if lower_limit is None else f"> {plain(lower_limit)} (95 % CL)"
    if error is None or not math.isfinite(error) or error <= 0:
        return plain(value)
    digits = 1 - math.floor(math.log10(error))
    if digits > 8 or abs(value) >= 1e6:
        return f"{value:.4g} ± {error:.2g}"
    shown = max(digits, 0)
    return f"{round(value, digits):,.{shown}f} ± {round(error, digits):,.{shown}f}"


def plain(value: Any) -> str:
    """Any value in a cell of a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return (
            "–"
            if not math.isfinite(value)
            else f"{value:,.0f}"
            if value >= 1e4 and value.is_integer()
            else f"{value:.4g}"
        )
    if isinstance(value, list | tuple):
        return ", ".join(plain(member) for member in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(member)}" for key, member in value.items())
    return str(value)
