"""metrics.jsonl: one JSON object a line, for each validation and every `log_every` iterations.

A line of an iteration has `kind: "step"`, `epoch` and `step` (both counted from 1, through all phases), the means since
the last such line as `train.<loss>` and `train.total`, `lr.<number of the update>` and `rows_per_second`. A line of a
validation has `kind: "epoch"`, in `epoch` the epochs that are done (0.5 in the middle of the first one, where there are
several validations an epoch), the means since the last validation, `validation.<loss>`, `validation.<loss>.accuracy`
and `.auc`, `validation.total`, `best: true` where it is the best so far, and `seconds` since the training began. Both
have `phase` where there are phases. A number that is not finite is `null`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from engine.files import writing

Record = dict[str, float | int | str]


class MetricsLog:
    """The open file; a checkpoint keeps the position in it, so that a resumed run repeats no line."""

    def __init__(self, path: Path, position: int = 0) -> None:
        """Open the file and drop what stands after `position` (bytes): lines later than the checkpoint."""
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            if position < self._file.tell():
                self._file.truncate(position)

    def write(self, record: Mapping[str, float | int | str]) -> None:
        """Append one line, at once visible to readers.

        Raises:
            StorageError: there is no room for it.
        """
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in record.items()
        }
        line = json.dumps(finite).encode() + b"\n"
        with writing(self._path):
            while line:  # what fits on a disk that is almost full may be a part of it
                line = line[self._file.write(line) :]

    def position(self) -> int:
        """Length of the file in bytes, once it is on the disk."""
        with writing(self._path):
            os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path, kind: str = "epoch") -> list[dict[str, float]]:
    """The lines of one kind; what a kill left of an unfinished last line is not one.

    Example:
        >>> [line["validation.tagging"] for line in read_log(run.metrics_log)]  # doctest: +SKIP
    """
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line.get("kind") == kind:
            lines.append(line)
    return lines
