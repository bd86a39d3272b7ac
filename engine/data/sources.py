"""The files of each sample, found by the patterns of the spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.data.readers.base import expand_files
from engine.errors import DataError
from engine.spec.sections.data import DataSpec, SampleSpec


@dataclass(frozen=True)
class Source:
    """A file of a sample, as it was when it was looked at.

    Attributes:
        sample: name of the sample.
        path: as the pattern gives it, or a URL.
        size: bytes; -1 for a URL.
        modified: time of the last change in ns; -1 for a URL.
    """

    sample: str
    path: str
    size: int
    modified: int


def find_sources(data: DataSpec) -> list[Source]:
    """All files of all samples, in the order of the samples; those of a sample sorted by name, each once.

    Raises:
        DataError: a pattern matches no file.
    """
    return [source for sample in data.samples.values() for source in sample_sources(sample)]


def sample_sources(sample: SampleSpec) -> list[Source]:
    """The files of one sample (see `find_sources`)."""
    try:
        paths = expand_files(sample.files)
    except DataError as error:
        raise DataError(f"the sample {sample.name} has no files: {error}", (*sample.path, "files")) from None
    return [_source(sample.name, path) for path in paths]


def _source(sample: str, path: str) -> Source:
    if "://" in path:
        return Source(sample, path, -1, -1)
    status = Path(path).stat()
    return Source(sample, path, status.st_size, status.st_mtime_ns)
