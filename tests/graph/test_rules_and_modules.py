"""Every block over a grid of parameters and inputs: its rule says what its module does; padding has no say."""

from __future__ import annotations

import itertools
import json
import math
import random
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

import pytest
import torch

from engine.graph.conventions import CONVENTIONS
from engine.graph.initialise import initialise
from engine.graph.modules.values import Values
from engine.graph.packing import Items, Objects, Packing, padded, run
from engine.graph.parameters import public_name
from engine.graph.registry import CONTROL, Block, primitive_blocks
from engine.graph.schema import definitions, kinds, value_schema
from engine.graph.types import TensorType
from engine.spec.resources import folder

BATCH = 3
OBJECTS = TensorType((7, 6), masked=True)
FREE_OBJECTS = TensorType((7, 6))
OTHERS = TensorType((5, 6), masked=True)
ROW = TensorType((6,))
ROW_FOR_EACH = TensorType((6,), broadcast=True)
PAIRS = TensorType((4, 4, 6), masked=True)
WIDTH_ONE = TensorType((7, 1), masked=True)
HELICES = TensorType((7, 5), masked=True)
FREE_HELICES = TensorType((7, 5))
WEIGHTS = TensorType((7, 1), masked=True)
TWO_WEIGHTS = TensorType((7, 2), masked=True)
TRIANGLES = TensorType((7, 15))
MATRICES = TensorType((7, 25))
POINT = TensorType((3,))
COVARIANCE = TensorType((6,))
CODES = TensorType((7, 1), masked=True, vocabulary=9)
ROW_CODES = TensorType((2,), vocabulary=5)

ANY = [[OBJECTS], [FREE_OBJECTS], [ROW], [PAIRS]]
ALONG = [[OBJECTS], [FREE_OBJECTS]]
REDUCED = [[OBJECTS], [FREE_OBJECTS], [PAIRS]]
MERGED = [[OBJECTS, OBJECTS], [OBJECTS, FREE_OBJECTS], [ROW, ROW], [OBJECTS, ROW_FOR_EACH], [PAIRS, ROW_FOR_EACH]]
MASK = {"mask": ["use", "ignore"]}

Grid = tuple[dict[str, list[Any]], list[list[TensorType]]]

GRIDS: dict[str, list[Grid]] = {
    "dense": [({"units": [4, (5, 3)], "activation": [None, "relu", "softmax", "leaky_relu"], "dropout": [0.0, 0.3],
                "bias": [True, False], "initialisation": [None, "he_normal"]}, ANY)],
    "conv1d": [({"filters": [4, 8], "kernel": [1, 2, 3, 5], "stride": [1, 2, 3], "groups": [1, 2],
                 "padding": ["same", "valid"], "activation": [None, "relu"], "bias": [True, False], **MASK}, ALONG)],
    "lstm": [({"units": [4], "return_": ["last", "sequence"], **MASK}, ALONG)],
    "gru": [({"units": [4], "return_": ["last", "sequence"], **MASK}, ALONG)],
    "embedding": [({"size": [3], "vocabulary": [10]}, ANY), ({"size": [3]}, [[CODES], [ROW_CODES]])],
    "one_hot": [({"size": [4]}, ANY)],
    "batch_norm": [({"momentum": [None, 0.5], "epsilon": [None, 0.1], **MASK}, ANY)],
    "layer_norm": [({"epsilon": [None, 0.1]}, ANY)],
    "dropout": [({"rate": [0.0, 0.4]}, ANY)],
    "activation": [({"function": ["relu", "swish", "softmax", "linear", "hard_sigmoid", "gelu"]}, ANY),
                   ({"function": ["leaky_relu"], "slope": [None, 0.2]}, ANY),
                   ({"function": ["softmax"], "along": ["objects"], **MASK}, REDUCED)],
    "concat": [({"along": ["features"]}, MERGED),
               ({"along": ["objects"]}, [[OBJECTS, OTHERS], [FREE_OBJECTS, OTHERS]])],
    "add": [({}, MERGED)],
    "multiply": [({}, [*MERGED, [OBJECTS, WIDTH_ONE]])],
    "pairs": [({"combine": ["concat", "add", "multiply"]},
               [[OBJECTS], [OBJECTS, OTHERS], [FREE_OBJECTS], [OBJECTS, OTHERS, ROW_FOR_EACH],
                [FREE_OBJECTS, OTHERS]])],
    "reshape": [({"shape": [(7, 3, 2), (-1,), (14, 3)], "mask": ["ignore"]}, ALONG),
                ({"shape": [(2, 3), (-1, 2)], "mask": ["use"]}, [[ROW]]), ({"shape": [(7, -1)]}, ALONG)],
    "flatten": [(MASK, ANY)],
    "mean_pool": [(MASK, REDUCED)],
    "max_pool": [(MASK, REDUCED)],
    "sum_pool": [(MASK, REDUCED)],
    "softmax_pool": [(MASK, REDUCED)],
    "pool1d": [({"size": [1, 2, 3], "kind": ["max", "mean"], "stride": [None, 1], **MASK}, ALONG)],
    "attention": [({"heads": [1, 2], "key_dim": [None, 5], "features": [None, 4], "dropout": [0.0, 0.2],
                    "bias": [True, False], "mask": ["all", "keys", "ignore"]},
                   [[OBJECTS], [FREE_OBJECTS], [OBJECTS, OTHERS], [FREE_OBJECTS, OTHERS]])],
    "detach": [({}, ANY)],
    "vertex_fit": [({"mode": ["exact", "ndive"], "precision": ["float32", "float64"], "clip": [None, 0.1],
                     "sandwich": [None, True]},
                    [[HELICES, HELICES], [HELICES, HELICES, WEIGHTS], [FREE_HELICES, HELICES]]),
                   ({"mode": ["exact"]}, [[HELICES, HELICES, TWO_WEIGHTS], [HELICES, TRIANGLES, WEIGHTS],
                                          [HELICES, MATRICES, WEIGHTS], [HELICES, HELICES, WEIGHTS, POINT, POINT],
                                          [HELICES, HELICES, TWO_WEIGHTS, POINT, COVARIANCE, POINT]]),
                   ({"names": [("tracks", "errors", "seed")]}, [[HELICES, HELICES, POINT]])],
    "extrapolate": [({"precision": ["float32", "float64"]}, [[HELICES, POINT], [FREE_HELICES, POINT]])],
    "gradient_reversal": [({"strength": [1.0, 3.0]}, ANY)],
    "expression": [({"formula": ["x / (1 + abs(x))", "max(x, 0) + where(x > 1, 1, clip(x, -1, 0))"]}, ANY),
                   ({"formula": ["a * b - 1"], "names": [("a", "b")]}, [[OBJECTS, OBJECTS], [OBJECTS, ROW_FOR_EACH]])],
    "einsum": [({"equation": ["nf, fg -> ng", "nf, fg -> g", "nf, nfg -> gf"], "parameters": [("w",)],
                 "sizes": [{"g": 4}], **MASK}, ALONG),
               ({"equation": ["nf, mf -> nm", "nf, mf -> nmf", "nf, mf -> f", "nf, mf -> mnf"], **MASK},
                [[OBJECTS, OTHERS]]),
               ({"equation": ["nmf -> nf", "nmf -> mnf", "nmf -> f"], **MASK}, [[PAIRS]])],
    "parameter": [({"shape": [(3,), (4, 3)], "trainable": [True, False], "initialisation": ["ones", "normal"]}, [[]])],
    "select": [({"features": [0, (1, 3), (5, 0, 0)]}, ANY)],
    "unmask": [({}, ANY)],
}  # fmt: skip


MOST_COMBINATIONS = 120
"""Larger grids are sampled, always in the same way."""


@cache
def cases() -> list[tuple[Block, list[TensorType]]]:
    """Every block with every combination of the parameters and inputs of its grids."""
    found = []
    for name, grids in GRIDS.items():
        kind = primitive_blocks()[name]
        for grid, inputs in grids:
            combinations = list(itertools.product(*grid.values()))
            if len(combinations) > MOST_COMBINATIONS:
                combinations = random.Random(name).sample(combinations, MOST_COMBINATIONS)
            for values in combinations:
                block = kind(**dict(zip(grid, values, strict=True)))
                found += [(block, types) for types in inputs]
    return found


def shown(value: Any) -> str:
    return f"{value.name}-{'-'.join(str(each) for each in vars(value).values())}" if isinstance(value, Block) else ""


def make_values(block: Block, types: list[TensorType], seed: int) -> Values:
    """Random inputs; each row has other numbers of real objects, the first one none."""
    generator = torch.Generator().manual_seed(seed)
    values: Values = []
    for kind in types:
        x = torch.randn(BATCH, *kind.shape, generator=generator)
        if block.name in ("embedding", "one_hot"):
            x = torch.randint(0, 4, x.shape, generator=generator).float()
        mask = torch.rand(BATCH, *kind.objects, generator=generator) < 0.6 if kind.masked else None
        if mask is not None:
            mask[0] = False
        values.append((x, mask))
    return values or [(torch.zeros(BATCH, 1), None)]


def build(block: Block, types: list[TensorType], conventions: str) -> torch.nn.Module:
    module = block.build(types, CONVENTIONS[conventions])
    initialise(module, seed=5)
    return module


@pytest.mark.parametrize("name", sorted(GRIDS))
@pytest.mark.parametrize("conventions", ["keras", "torch"])
def test_rule_says_what_the_module_does(name: str, conventions: str) -> None:
    """Shapes, masks and parameter counts, in training and outside of it."""
    ran = 0
    for block, types in cases():
        if block.name != name:
            continue
        where = f"{shown(block)} on {[str(kind) for kind in types]}"
        outcome = block.rule(types, CONVENTIONS[conventions])
        module = build(block, types, conventions)
        for training in (True, False):
            values = module.train(training)(make_values(block, types, seed=1))
            assert len(values) == len(outcome.outputs), where
            for (x, mask), expected in zip(values, outcome.outputs, strict=True):
                assert tuple(x.shape) == (BATCH, *expected.shape), where
                assert (mask is not None) == expected.masked, where
                assert mask is None or tuple(mask.shape) == (BATCH, *expected.objects), where
                assert mask is None or mask.dtype == torch.bool, where
                assert torch.isfinite(x).all(), where
        trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
        saved = sum(tensor.numel() for tensor in module.state_dict().values())
        assert (trainable, saved - trainable) == (outcome.trainable, outcome.fixed), where
        ran += 1
    assert ran


def keeps_padding_out(block: Block) -> bool:
    """Whether a block of a grid promises that padding has no influence."""
    return getattr(block, "mask", "use") not in ("ignore",) and block.name != "unmask"


@pytest.mark.parametrize("name", sorted(GRIDS))
def test_padding_never_changes_the_outcome(name: str) -> None:
    """With other values in the padded slots, what is real stays the same; in training, dropout excepted, too."""
    for block, types in cases():
        if block.name != name or not any(kind.masked for kind in types) or not keeps_padding_out(block):
            continue
        outcome = block.rule(types, CONVENTIONS["keras"])
        module = build(block, types, "keras")
        values = make_values(block, types, seed=2)
        other = make_values(block, types, seed=3)
        changed = [
            (x if mask is None else torch.where(mask.unsqueeze(-1), x, other[i][0] + 2), mask)
            for i, (x, mask) in enumerate(values)
        ]
        random = getattr(block, "dropout", getattr(block, "rate", 0)) > 0
        for training in (False,) if random else (False, True):
            module.train(training)
            before, after = module(values), module(changed)
            for (x, mask), (y, other_mask), expected in zip(before, after, outcome.outputs, strict=True):
                if mask is not None:
                    assert torch.equal(mask, other_mask)
                    x, y = x[mask], y[mask]
                assert torch.allclose(x, y, atol=1e-6), f"{shown(block)} on {[str(kind) for kind in types]}"
                assert expected.masked == (mask is not None)


@pytest.mark.parametrize("name", sorted(GRIDS))
def test_real_objects_alone_give_the_same(name: str) -> None:
    """What is real is the same where a block gets its objects packed, if it takes them so."""
    for block, types in cases():
        objects = {kind.objects for kind in types if kind.masked}
        if block.name != name or len(objects) != 1 or not keeps_padding_out(block):
            continue
        module = build(block, types, "keras")
        random = getattr(block, "dropout", getattr(block, "rate", 0)) > 0
        values = make_values(block, types, seed=2)
        packing = Packing(next(mask for _, mask in values if mask is not None))
        values = [(x, None if mask is None else packing.mask) for x, mask in values]
        items: Items = [value if value[1] is None else Objects(packing, value[0], packed=False) for value in values]
        for training in (False,) if random else (False, True):
            expected, found = module.train(training)(values), [padded(item) for item in run(module, items)]
            for (x, mask), (y, other_mask) in zip(expected, found, strict=True):
                assert (mask is None) == (other_mask is None)
                if mask is not None:
                    assert torch.equal(mask, other_mask)
                    x, y = x[mask], y[mask]
                torch.testing.assert_close(y, x, msg=lambda text, b=block: f"{shown(b)}: {text}")


def test_padding_does_change_the_outcome_where_the_mask_is_ignored() -> None:
    """The test above can fail: each block that may ignore the mask differs when it does."""
    seen = set()
    for block, types in cases():
        if getattr(block, "mask", None) != "ignore" or types[0] != OBJECTS or block.name in ("reshape", "activation"):
            continue
        if block.name == "conv1d" and (block.kernel == 1 or block.activation):  # type: ignore[attr-defined]
            continue
        if block.name == "einsum" and "-> f" not in block.equation:  # type: ignore[attr-defined]
            continue
        module = build(block, types, "keras").train(block.name == "batch_norm")
        values = make_values(block, types, seed=2)
        changed = [(x if mask is None else torch.where(mask.unsqueeze(-1), x, x + 9), mask) for x, mask in values]
        pairs = zip(module(values), module(changed), strict=True)
        assert any(
            not torch.allclose(x if mask is None else x[mask], y if mask is None else y[mask])
            for (x, mask), (y, _) in pairs
        ) or (block.name == "pool1d" and (block.size == 1 or block.kind == "max")), shown(block)  # type: ignore[attr-defined]
        seen.add(block.name)
    assert {
        "conv1d",
        "lstm",
        "gru",
        "batch_norm",
        "flatten",
        "mean_pool",
        "softmax_pool",
        "attention",
        "einsum",
    } <= seen


def test_every_block_has_a_grid() -> None:
    assert set(GRIDS) == set(primitive_blocks())


def test_schema_names_are_the_registered_blocks() -> None:
    assert set(definitions()) == set(primitive_blocks()) | set(CONTROL)
    layers = json.loads((folder("schemas") / "model.json").read_text())["$defs"]["layer"]
    assert set(layers["properties"]) == set(definitions())


@pytest.mark.parametrize("name", sorted(primitive_blocks()))
def test_schema_properties_are_the_parameters_with_their_defaults(name: str) -> None:
    kind, schema = primitive_blocks()[name], definitions()[name]
    known = {public: field for field in fields(kind) if (public := public_name(field))}  # type: ignore[arg-type]
    assert set(schema["properties"]) == set(known)
    required = {public for public, field in known.items() if field.default is field.default_factory is MISSING}
    assert set(schema.get("required", [])) == required
    for public, field in known.items():
        if public in required:
            assert "default" not in schema["properties"][public]
            continue
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        written = schema["properties"][public]["default"]
        assert (tuple(written) if isinstance(written, list) else written) == default, public
    assert schema.get("shorthand") == kind.shorthand
    assert schema["title"]
    assert schema["description"]
    assert kind.mask_rule


@pytest.mark.parametrize("name", sorted(definitions()))
def test_schema_explains_every_parameter(name: str) -> None:
    for public, schema in definitions()[name]["properties"].items():
        assert schema["title"], public
        assert schema["description"].endswith("."), public
        assert kinds(value_schema(schema)) or "enum" in value_schema(schema) or "$ref" in value_schema(schema), public


def test_counts_that_can_be_worked_out_by_hand() -> None:
    def trainable(name: str, types: list[TensorType], conventions: str = "keras", **parameters: Any) -> int:
        return primitive_blocks()[name](**parameters).rule(types, CONVENTIONS[conventions]).trainable

    assert trainable("lstm", [TensorType((30, 16))], units=10) == 4 * 10 * (16 + 10 + 1)
    assert trainable("lstm", [TensorType((30, 16))], "torch", units=10) == 4 * 10 * (16 + 10 + 2)
    assert trainable("gru", [TensorType((30, 16))], units=10) == 3 * 10 * (16 + 10 + 2)
    assert trainable("attention", [TensorType((31, 128))], heads=4, key_dim=128) == 263_808
    assert trainable("conv1d", [TensorType((100, 29))], filters=64, kernel=4) == 64 * (29 * 4 + 1)
    assert trainable("conv1d", [TensorType((100, 64))], filters=64, kernel=3, groups=16) == 64 * (4 * 3 + 1)
    assert trainable("embedding", [TensorType((150, 1))], size=8, vocabulary=542) == 4336
    assert math.prod((2, 64)) == trainable("batch_norm", [TensorType((64,))])
