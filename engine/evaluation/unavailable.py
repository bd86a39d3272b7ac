"""Why a metric or plot has no value."""

from __future__ import annotations


class UnavailableError(Exception):
    """A metric or plot has no value for these rows; the sentence says why and stands in the report in its place."""
