"""The ledger of a prepared dataset: what became of each source file.

A file is `ok`, `empty` or `skipped`. `empty` means that it was read to its end but gave no row: it has no entries, or
none that passes the selections. `skipped` means that it could not be used: it is truncated, lacks the tree or a branch,
or holds something else than the spec says. Both kinds count as lost: a file was listed in the spec because rows were
expected of it, so both stand in the ledger with a reason, show in the exit code, stop the preparation with
`on_error: stop`, and count towards `max_lost`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from engine.errors import DataError
from engine.spec.sections.data import DataSpec

Status = Literal["ok", "empty", "skipped"]


@dataclass(frozen=True)
class LedgerEntry:
    """What became of one source file.

    Attributes:
        source: path or URL.
        sample: name of its sample.
        entries: entries (events) read from it.
        rows: rows made of them.
        status: see the module.
        reason: one sentence that names the file; None where all is well.
        seconds: time that it took.
        values: of each input, the rows or objects that the file gave.
        not_finite: of each feature (`input.feature`), how many of them are NaN or infinite; absent for none.
    """

    source: str
    sample: str
    entries: int
    rows: int
    status: Status
    reason: str | None
    seconds: float
    values: Mapping[str, int] = field(default_factory=dict)
    not_finite: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> bool:
        """Whether the file gave nothing."""
        return self.status != "ok"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LedgerEntry:
        """The inverse of `to_dict`."""
        return cls(**values)


def check_lost(ledger: Iterable[LedgerEntry], data: DataSpec) -> None:
    """Hold the losses against what the spec allows.

    Raises:
        DataError: `on_error: stop` and a file was lost; or a sample lost more of its files than `max_lost`.
    """
    entries = list(ledger)
    lost = [entry for entry in entries if entry.lost]
    if lost and data.on_error == "stop":
        sentence = f"{lost[0].reason} (`on_error: skip` goes on without such files)"
        raise DataError(sentence, (*data.samples[lost[0].sample].path, "files"))
    files = Counter(entry.sample for entry in entries)
    for sample, number in Counter(entry.sample for entry in lost).items():
        if number > data.max_lost * files[sample]:
            first = next(entry.reason for entry in lost if entry.sample == sample)
            raise DataError(
                f"the sample {sample} lost {number} of its {files[sample]} files, more than `max_lost: "
                f"{data.max_lost:g}` allows; the first: {first}",
                (*data.samples[sample].path, "files"),
            )
