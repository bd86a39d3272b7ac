"""Values and texts to the codes of a vocabulary: 0 is padding, 1 .. n are the tokens, n + 1 may stand for all others.

Preparation and prediction both come through here. Nothing loops over objects: numbers are searched in the sorted
tokens, and the parts of all texts of a chunk are looked up in one hash table.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.arrow import as_numpy, is_given
from engine.data.columns import Array, Jagged
from engine.errors import DataError
from engine.spec.sections.data import TextSpec, VocabularySpec
from engine.spec.vocabularies import as_number


def encode(values: Array, vocabulary: VocabularySpec, what: str) -> Array:
    """The code of each value, int64.

    Args:
        values: numbers or texts, shape (n,).
        vocabulary: its tokens and what becomes of others.
        what: names the feature in messages.

    Raises:
        DataError: a value is not listed and the vocabulary says `unknown: stop`.
    """
    if values.dtype.kind not in "biuf":
        return _codes(_arrow(values), vocabulary, what)
    numbers, codes = code_table(vocabulary)
    values = values.astype(np.float64, copy=False)
    if not len(numbers):
        found = np.zeros(len(values), dtype=np.int64)
    else:
        place = np.minimum(np.searchsorted(numbers, values), len(numbers) - 1)
        found = np.where(numbers[place] == values, codes[place], 0)
    return _settled(found, vocabulary, what, lambda lost: f"{values[lost]:.17g}")


def encode_texts(texts: Array, text: TextSpec, vocabulary: VocabularySpec, keep: int, what: str) -> Jagged:
    """The codes of the parts of each text, at most the first `keep` of them; int64 values of shape (tokens,).

    Args:
        texts: shape (rows,); what is no text (a missing value) has no parts.
        text: where the texts are split; empty parts are left out.
        vocabulary: as in `encode`; with `unknown: skip` other tokens are left out before `keep` counts.
        keep: most tokens of a row.
        what: names the input in messages.

    Raises:
        DataError: as `encode`.
    """
    lists = pc.split_pattern(_arrow(texts), text.split)
    offsets = as_numpy(lists.offsets)
    parts = lists.values
    codes = _codes(parts, vocabulary, what)
    real = as_numpy(pc.binary_length(parts)) > 0
    if vocabulary.unknown == "skip":
        real &= codes > 0
    rows = np.repeat(np.arange(len(texts)), np.diff(offsets))[real]
    first = np.concatenate([[0], np.cumsum(real)])[offsets]
    within = np.arange(len(rows)) - first[rows] < keep
    counts = np.minimum(np.diff(first), keep)
    return Jagged.from_counts(counts, codes[real][within])


def _codes(texts: Any, vocabulary: VocabularySpec, what: str) -> Array:
    """The code of each text of an Arrow array; an empty one is never unknown."""
    index = pc.index_in(texts, value_set=_arrow(np.array(vocabulary.tokens, dtype=object)))
    codes = np.where(is_given(index), as_numpy(index), -1).astype(np.int64) + 1
    if vocabulary.unknown in ("own", "stop"):
        codes[as_numpy(pc.binary_length(texts)) == 0] = -1
    codes = _settled(codes, vocabulary, what, lambda lost: texts[lost].as_py())
    return np.maximum(codes, 0)


def _settled(codes: Array, vocabulary: VocabularySpec, what: str, shown: Any) -> Array:
    """Codes with what the vocabulary says in place of 0."""
    if vocabulary.unknown not in ("own", "stop"):
        return codes
    lost = np.flatnonzero(codes == 0)
    if vocabulary.unknown == "stop" and len(lost):
        number = "1 value is" if len(lost) == 1 else f"{len(lost)} values are"
        raise DataError(
            f"{number} not in the vocabulary of {what}, the first is '{shown(int(lost[0]))}'; write `unknown: pad` or "
            "`unknown: own` to go on without them"
        )
    codes[lost] = len(vocabulary.tokens) + 1
    return codes


def _arrow(texts: Array) -> Any:
    """Texts as an Arrow array with 64-bit offsets; what is no text is empty.

    Put together here: `pyarrow.array` of objects imports pandas where that is installed, which takes half a second.
    """
    encoded = [text.encode() if isinstance(text, str) else b"" for text in texts.tolist()]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    content = pa.py_buffer(b"".join(encoded))
    return pa.LargeStringArray.from_buffers(len(encoded), pa.py_buffer(offsets), content)


@cache
def code_table(vocabulary: VocabularySpec) -> tuple[Array, Array]:
    """The tokens that are numbers, sorted, and their codes."""
    pairs = sorted(
        (number, code) for code, token in enumerate(vocabulary.tokens, 1) if (number := as_number(token)) is not None
    )
    return np.array([number for number, _ in pairs]), np.array([code for _, code in pairs], dtype=np.int64)
