"""Raw fields of a chunk of entries as padded tensors: what an exported network is given."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.data.collections import Chunk, Collections
from engine.data.context import RowContext, find_rows
from engine.data.inputs import text_codes
from engine.data.values import Grouping, per_row
from engine.export.raw import ROW, RawInputs
from engine.spec.sections.data import InputSpec, LayoutSpec, PredictSpec


def raw_tensors(layout: LayoutSpec, predict: PredictSpec, raw: RawInputs, chunk: Chunk) -> dict[str, Tensor]:
    """The arguments of an exported network for the rows of a chunk.

    Every object of a row is there, in the order of the file, padded to the largest number of objects of any row.

    Raises:
        DataError: a branch is missing, or the branches do not fit together.
    """
    collections = Collections(layout, chunk)
    context = RowContext(collections, find_rows(collections, predict.rows), predict.constants)
    tensors: dict[str, Tensor] = {}
    for name, fields in raw.objects.items():
        if name in raw.texts:
            tensors[name], tensors[f"{name}_mask"] = _codes(raw.texts[name], context)
            continue
        members = context.members(name)
        grouping = members.grouping
        most = max(int(grouping.counts.max(initial=0)), 1)
        values = np.zeros((context.count, most, len(fields)), dtype=np.float32)  # without fields only counted
        mask = np.zeros((context.count, most), dtype=bool)
        place = (grouping.parents, grouping.positions)
        mask[place] = True
        for index, field in enumerate(fields):
            values[(*place, index)] = collections[name].number(field)[members.objects]
        if fields:
            tensors[name] = torch.from_numpy(values)
        tensors[f"{name}_mask"] = torch.from_numpy(mask)
    if raw.row:
        columns = [per_row(context(name), context.count, name) for name in raw.row]
        tensors[ROW] = torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))
    return tensors


def _codes(spec: InputSpec, context: RowContext) -> tuple[Tensor, Tensor]:
    """The codes of each row's tokens, (rows, tokens, 1), and the mask of them, as preparation makes them."""
    codes = text_codes(spec, context)
    grouping = Grouping(spec.name, codes.offsets)
    most = max(int(grouping.counts.max(initial=0)), 1)
    values = np.zeros((context.count, most, 1), dtype=np.float32)
    mask = np.zeros((context.count, most), dtype=bool)
    values[grouping.parents, grouping.positions] = np.asarray(codes.values)
    mask[grouping.parents, grouping.positions] = True
    return torch.from_numpy(values), torch.from_numpy(mask)
