"""The feature program runs on any arrays: padded tables give what the flat arrays of preparation give."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.branches import needed_branches
from engine.data.collections import Collections
from engine.data.context import RowContext, find_rows
from engine.data.features import feature_values
from engine.data.inputs import choose_objects
from engine.data.operations import NUMPY_FUNCTIONS
from engine.data.readers.base import open_reader


class Padded:
    """Row values of shape (rows, 1), object values of shape (rows, keep); reductions leave the padding out."""

    def __init__(self, mask):
        self.mask = mask
        self.functions = {
            **NUMPY_FUNCTIONS,
            "sum": lambda x: np.where(mask, x, 0).sum(axis=1, keepdims=True),
            "count": lambda x: (mask & (x != 0)).sum(axis=1, keepdims=True),
        }

    def leading(self, values):
        return np.where(self.mask[:, :1], values[:, :1], 0)


@pytest.mark.parametrize("name", ["clus", "track", "MSeg"])
def test_padded_tables_give_what_flat_arrays_give(name, spec_section, sample_rows, pad):
    data = spec_section("mixed.yaml")
    sample, spec = data.samples["sig_125_55"], data.inputs[name]
    layout = data.layouts[sample.layout]
    reader = open_reader(sample.files[0], layout.format, layout.tree)
    needed = [branch.branch for branch in needed_branches(data, layout, sample.rows, sample)]
    collections = Collections(layout, reader.read(needed, 0, reader.entries))
    context = RowContext(collections, find_rows(collections, sample.rows), sample.constants)
    chosen = choose_objects(spec, context)
    rows, places = chosen.grouping.parents, chosen.grouping.positions
    mask = np.zeros((chosen.grouping.rows, spec.keep), dtype=bool)
    mask[rows, places] = True

    def lookup(field):
        if "." in field:
            return context(field).array[:, None]
        table = np.zeros(mask.shape)
        table[rows, places] = collections[spec.of].number(field)[chosen.objects]
        return table

    columns = feature_values(spec, "jets", lookup, Padded(mask))
    padded = np.stack([np.broadcast_to(column, mask.shape) for column in columns], axis=-1)
    expected = pad(sample_rows(data, "sig_125_55").inputs[name], spec.keep)
    np.testing.assert_allclose(np.where(mask[..., None], padded, 0), expected, rtol=1e-6, atol=1e-9)
