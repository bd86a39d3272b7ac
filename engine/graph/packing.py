"""Training steps without padding: layers that act on each object alone get the real objects of a batch, side by side.

Objects are padded to the same number in each row, (B, N, F). Where 6 of 15 are real, a dense layer does 9 of 15
products for nothing. So in training on a processor a network keeps its values of objects as the (R, F) real ones of all
rows together: they are picked once for each mask, layers that know no neighbours (`EACH_OBJECT`) run on them as on
rows, attention puts several rows side by side (see `shelves.py`), and other layers get the padded form, with 0 in the
padding.

What is real comes out as without all this, to rounding. Layers for which padding counts (`mask: ignore`, `unmask`) and
those along all slots (`ALONG_SLOTS`) switch it off for their whole network; so does everything for which the number of
real objects would have to be known beforehand or waited for: export, tracing, compilation, other devices. In inference
the padding keeps its values, which are those of an exported network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.graph.modules.activations import Activation
from engine.graph.modules.attention import Attention
from engine.graph.modules.dense import Dense
from engine.graph.modules.dropout import Dropout
from engine.graph.modules.embedding import Embedding, OneHot
from engine.graph.modules.formulas import Detach, Formula, GradientReversal
from engine.graph.modules.merging import Add, ConcatFeatures, Multiply
from engine.graph.modules.normalisation import BatchNorm, LayerNorm
from engine.graph.modules.pair_layers import PairLayers, RealPairs, pairs_within
from engine.graph.modules.shaping import Select
from engine.graph.modules.values import Value, Values, runs_as_written
from engine.graph.planned import Primitive
from engine.graph.shelves import Shelves

EACH_OBJECT = (
    Activation, Add, BatchNorm, ConcatFeatures, Dense, Detach, Dropout, Embedding, Formula, GradientReversal, LayerNorm,
    Multiply, OneHot, Select,
)  # fmt: skip
"""Modules that do with (R, F) rows what they do with the real ones of (B, N, F) objects."""

ALONG_SLOTS = ("conv1d", "gru", "lstm", "pool1d")
"""Blocks that walk along all slots: what is packed in front of them would be padded again at once, which costs more
than the padding does (measured: up to 1.4 times the time of a step)."""

MOST_REAL = 0.6
"""With a larger share of real objects, picking them costs as much as the padding (measured: as much at 0.7 to 0.9)."""


class Packing:
    """Which of all slots of a batch are real, and the ways from the slots to the R real objects or pairs and back.

    Args:
        mask: (B, N), or (B, N, N) for pairs.
        place_R: the real ones among all slots; None for those of the mask.
    """

    def __init__(self, mask: Tensor, place_R: Tensor | None = None) -> None:
        self.mask = mask
        self.place_R = torch.from_numpy(np.flatnonzero(mask.numpy())) if place_R is None else place_R

    @property
    def pays(self) -> bool:
        """Whether there are real ones, and enough padding."""
        return 0 < len(self.place_R) <= MOST_REAL * self.mask.numel()

    @cached_property
    def row_R(self) -> Tensor:
        """The row of each."""
        return torch.div(self.place_R, self.mask[0].numel(), rounding_mode="floor")

    @cached_property
    def shelves(self) -> Shelves:
        """The real objects in fewer and longer rows."""
        return Shelves(np.count_nonzero(self.mask.numpy(), axis=1))

    @cached_property
    def pairs(self) -> tuple[RealPairs, Packing]:
        """The pairs of the real objects of each row."""
        real = pairs_within(self.mask.sum(1), self.row_R, self.place_R, self.mask.shape[1])
        return real, Packing(self.mask.unsqueeze(2) & self.mask.unsqueeze(1), real.place)

    def pick(self, x: Tensor) -> Tensor:
        """The real ones of (B, N, F), or a row of (B, F) for each real one: (R, F)."""
        if x.dim() == 2:
            return x.index_select(0, self.row_R)
        return x.flatten(0, self.mask.dim() - 1).index_select(0, self.place_R)

    def pad(self, x_RF: Tensor) -> Tensor:
        """(B, N, F), with 0 in the padding."""
        full = x_RF.new_zeros(self.mask.numel(), x_RF.shape[1]).index_copy_(0, self.place_R, x_RF)
        return full.view(*self.mask.shape, -1)


class Objects:
    """A value of objects in two forms, of which one is made when it is first asked for.

    Args:
        packing: which are real.
        x: (R, F) where `packed`, else (B, N, F).
    """

    def __init__(self, packing: Packing, x: Tensor, *, packed: bool) -> None:
        self.packing = packing
        self.forms = {packed: x}

    @property
    def packed(self) -> Tensor:
        """The real objects, (R, F)."""
        if True not in self.forms:
            self.forms[True] = self.packing.pick(self.forms[False])
        return self.forms[True]

    @property
    def padded(self) -> Value:
        """All slots, (B, N, F), and the mask."""
        if False not in self.forms:
            self.forms[False] = self.packing.pad(self.forms[True])
        return self.forms[False], self.packing.mask


Item = Value | Objects
"""What flows through a network."""
Items = list[Item]
Known = dict[str, Item]


class Carrier(nn.Module):
    """Base of modules that only hand values on to others, in whichever form they are."""


def run(step: nn.Module, items: Items, part: str = "forward") -> Items:
    """What a step makes of its inputs, which it gets in the form that it takes.

    Args:
        step: a module of a chain.
        items: its inputs.
        part: `body` or `finish` where only that is to be done.
    """
    apply: Callable[[Any], Any] = step if part == "forward" else getattr(step, part)
    if isinstance(step, Carrier):
        handed_on: Items = apply(items)
        return handed_on
    packing = common_packing(items)
    if packing is not None and (type(step) in EACH_OBJECT or part == "finish"):
        made: Values = apply([(packed(item, packing), None) for item in items])
        return [Objects(packing, x, packed=True) for x, _ in made]
    if packing is not None and isinstance(step, Attention) and len(items) == 1:
        return [Objects(packing, step.on_shelves(packed(items[0], packing), packing.shelves), packed=True)]
    if packing is not None and isinstance(step, PairLayers) and len(items) == 1 + step.rows:
        real, pairs = packing.pairs
        rows = [padded(row)[0] for row in items[1:]]
        found: Items = [Objects(pairs, step.on_real(packed(items[0], packing), rows, packing.row_R, real), packed=True)]
        return run(step, found, "finish") if part == "forward" else found
    packings = {id(item.packing.mask): item.packing for item in items if isinstance(item, Objects)}
    return [packable(value, packings) for value in apply([padded(item) for item in items])]


def common_packing(items: Iterable[Item]) -> Packing | None:
    """The packing of all objects among the inputs; None where there is none, or not one alone."""
    found = None
    for item in items:
        if isinstance(item, Objects):
            if found is not None and item.packing is not found:
                return None
            found = item.packing
        else:
            x, mask = item
            if mask is not None or x.dim() < 2:
                return None
    return found


def packed(item: Item, packing: Packing) -> Tensor:
    """The real objects of an input, or its row for each of them: (R, F)."""
    return item.packed if isinstance(item, Objects) else packing.pick(item[0])


def packable(value: Value, packings: Mapping[int, Packing]) -> Item:
    """A value as objects where its mask is that of a packing; these are found by the identity of their masks."""
    x, mask = value
    known = mask is not None and mask.dim() + 1 == x.dim() and id(mask) in packings
    return Objects(packings[id(mask)], x, packed=False) if known else value


def padded(item: Item) -> Value:
    """An input with all slots."""
    return item.padded if isinstance(item, Objects) else item


def needs_padding(step: Primitive) -> bool:
    """Whether padding counts for a layer, or whether it would undo what is gained."""
    block = step.block
    needs = getattr(block, "mask", "use") == "ignore" or block.name == "unmask" or block.name in ALONG_SLOTS
    return needs and any(value.masked for value in step.inputs)


def pack(values: Mapping[str, Value]) -> Known:
    """The inputs of a network, objects in a form that can be packed where that is possible and pays.

    Masks with the same content share a packing, so that layers can use their objects together.
    """
    packings: dict[tuple[torch.Size, bytes], Packing] = {}
    known: Known = dict(values)
    for name, (x, mask) in values.items():
        if mask is None or mask.dim() != 2 or not runs_as_written(x):
            continue
        content = mask.shape, mask.numpy().tobytes()
        if content not in packings:
            packings[content] = Packing(mask)
        if packings[content].pays:
            known[name] = Objects(packings[content], x, packed=False)
    return known


def unpack(known: Known, names: Sequence[str]) -> dict[str, Value]:
    """Some values with all slots."""
    return {name: padded(known[name]) for name in names}
