"""From raw fields to the inputs of the network, in torch: what preparation and loader do, as nodes of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from engine_kernels.sanitize.reference import Sanitize
from engine_kernels.sanitize.transforms import FeatureTransform
from torch import Tensor, nn

from engine.data.features import feature_values
from engine.data.inputs import is_row_input
from engine.export.codes import Encode
from engine.export.padded import PADDED_FUNCTIONS, Padded, PaddedBackend
from engine.export.raw import ROW, RawInputs, codes_of
from engine.graph.portable import earlier
from engine.spec.expressions import Expression
from engine.spec.layouts import base_or_name
from engine.spec.sections.data import DataSpec, InputSpec, LayoutSpec

Tensors = dict[str, Tensor]


class Front(nn.Module):
    """Selection, order, truncation, features and transforms of every input.

    Takes the tensors of `RawInputs.names`; objects come in any order and any number, with a mask of the real ones.
    """

    def __init__(
        self,
        data: DataSpec,
        layout: LayoutSpec,
        raw: RawInputs,
        transforms: Mapping[str, Sequence[FeatureTransform]],
    ) -> None:
        super().__init__()
        self.data, self.layout, self.raw = data, layout, raw
        self.sanitize = nn.ModuleDict({name: Sanitize(transforms[name]) for name in data.inputs})
        coded = {name: spec for name, spec in data.inputs.items() if spec.text is None}
        self.encode = nn.ModuleDict({name: Encode(spec) for name, spec in coded.items()})

    def forward(self, tensors: Tensors) -> tuple[Tensors, Tensors]:
        """Inputs, float32 (rows, keep, width) or (rows, width), and masks, bool (rows, keep)."""
        inputs: Tensors = {}
        masks: Tensors = {}
        for name, spec in self.data.inputs.items():
            if spec.text is not None:
                inputs[name], masks[name] = self._tokens(spec, tensors)
            elif is_row_input(spec):
                values = self._features(spec, self._row_lookup(spec, tensors), tensors, None)
                inputs[name] = self.sanitize[name](values)
            else:
                own, mask = self._choose(spec, tensors)
                lookup = self._object_lookup(spec, own, mask, tensors)
                values = self._features(spec, lookup, tensors, mask)
                inputs[name], masks[name] = self.sanitize[name](values, mask), mask
        return inputs, masks

    def _features(
        self, spec: InputSpec, lookup: Callable[[str], Padded], tensors: Tensors, mask: Tensor | None
    ) -> Tensor:
        columns = self.encode[spec.name](feature_values(spec, self.raw.rows_of, lookup, PaddedBackend()))
        if mask is None:
            shape = (next(iter(tensors.values())).shape[0], 1)
            values = torch.cat([_spread(column, shape) for column in columns], dim=-1)
        else:
            values = torch.stack([_spread(column, mask.shape) for column in columns], dim=-1)
        return (nearest_half(values) if spec.dtype == "float16" else values).float()

    def _tokens(self, spec: InputSpec, tensors: Tensors) -> tuple[Tensor, Tensor]:
        """The first codes of a text input, float32 (rows, keep, 1), and the mask of them."""
        mask = tensors[f"{codes_of(spec)}_mask"]
        key = torch.zeros_like(mask, dtype=torch.float64)
        codes, mask = keep_first(tensors[codes_of(spec)].double(), mask, key, spec.keep or 1)
        return codes.float(), mask

    def _choose(self, spec: InputSpec, tensors: Tensors) -> tuple[Tensor, Tensor]:
        """Fields (rows, keep, fields) and mask of the objects that the input keeps, real ones first."""
        collection = base_or_name(self.layout, spec.of)
        mask = tensors[f"{collection}_mask"]
        own = tensors[collection].double() if collection in tensors else mask.double().unsqueeze(-1)[..., :0]
        for condition in self._conditions(spec):
            passed = condition.evaluate(self._object_lookup(spec, own, mask, tensors), PADDED_FUNCTIONS)
            mask = mask & (_spread(passed, mask.shape) != 0)
        key = torch.zeros_like(mask, dtype=torch.float64)
        if spec.order is not None:
            value = spec.order.evaluate(self._object_lookup(spec, own, mask, tensors), PADDED_FUNCTIONS)
            key = torch.nan_to_num(_spread(value, mask.shape), nan=torch.finfo(torch.float64).max)
        return keep_first(own, mask, key, spec.keep or 1)

    def _conditions(self, spec: InputSpec) -> list[Expression]:
        conditions: list[Expression] = []
        name = spec.of
        while name in self.layout.selections:
            conditions.insert(0, self.layout.selections[name].where)
            name = self.layout.selections[name].of
        return [*conditions, spec.where] if spec.where is not None else conditions

    def _object_lookup(self, spec: InputSpec, own: Tensor, mask: Tensor, tensors: Tensors) -> Callable[[str], Padded]:
        collection = base_or_name(self.layout, spec.of)
        fields = self.raw.objects[collection]

        def lookup(name: str) -> Padded:
            return Padded(own[..., fields.index(name)], mask) if name in fields else self._row(name, tensors)

        return lookup

    def _row_lookup(self, spec: InputSpec, tensors: Tensors) -> Callable[[str], Padded]:
        collection = base_or_name(self.layout, spec.of)
        fields = self.layout.collections[collection].fields

        def lookup(name: str) -> Padded:
            return self._row(f"{collection}.{name}" if name in fields else name, tensors)

        return lookup

    def _row(self, name: str, tensors: Tensors) -> Padded:
        """A row's value, or all objects of another collection that belong to the row."""
        prefix, _, field = name.partition(".")
        if prefix in self.raw.objects:
            mask = tensors[f"{prefix}_mask"]
            if not field:
                return Padded(torch.ones_like(mask, dtype=torch.float64), mask)
            index = self.raw.objects[prefix].index(field)
            return Padded(tensors[prefix][..., index].double(), mask)
        index = self.raw.row.index(name)
        return Padded(tensors[ROW][:, index : index + 1].double())


def keep_first(own: Tensor, mask: Tensor, key: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The first `keep` real objects by ascending key; equal keys stay in their order.

    Args:
        own: fields, (rows, objects, fields).
        mask: real objects, bool (rows, objects).
        key: finite, (rows, objects).
        keep: objects of the result; rows with fewer are padded with zeros.
    """
    own = nn.functional.pad(own, (0, 0, 0, keep))
    mask = nn.functional.pad(mask, (0, keep))
    key = torch.where(mask, nn.functional.pad(key, (0, keep)), torch.inf)
    order = stable_order(key)[:, :keep]
    kept = torch.gather(mask, 1, order)
    chosen = torch.gather(own, 1, order.unsqueeze(-1).expand(-1, -1, own.shape[-1]))
    return torch.where(kept.unsqueeze(-1), chosen, 0.0), kept


def stable_order(key: Tensor) -> Tensor:
    """Indices that sort each row of `key`, (rows, objects), equal keys in their order.

    Each object's place is counted instead of sorted: ONNX has no stable sort, and objects are few.
    """
    mine, other = key.unsqueeze(2), key.unsqueeze(1)
    place = ((other < mine) | ((other == mine) & earlier(key))).sum(2)
    numbers = torch.arange(key.shape[1], device=key.device).expand_as(place)
    return torch.zeros_like(place).scatter(1, place, numbers)


def nearest_half(values: Tensor) -> Tensor:
    """Float64 values as float16 holds them, the nearest of each: what preparation stores for `dtype: float16`.

    Torch and onnxruntime go to float16 by way of float32, and so round twice; its neighbours there are tried too.
    """
    single = values.float()
    best = single.half()
    for step in (1 - 2.0**-23, 1 + 2.0**-23):
        other = (single * step).half()
        closer = torch.abs(other.double() - values) < torch.abs(best.double() - values)
        best = torch.where(closer, other, best)
    return best


def _spread(value: Padded | float, shape: torch.Size | tuple[int, int]) -> Tensor:
    """A value as a float64 tensor of one number an object (or a row)."""
    tensor = value.tensor if isinstance(value, Padded) else torch.tensor(value)
    return tensor.double().expand(shape)
