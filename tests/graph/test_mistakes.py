"""A mistake in a graph is a sentence that names the block, what it got, and what to write instead; all come at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.graph.plan import plan_network
from engine.graph.types import PlanError, TensorType
from engine.spec.build_model import build_model

Mistakes = Callable[..., list[str]]


def layers(text: str, source: str = "objects") -> str:
    return f"graph: {{out: {{from: {source}, layers: [{text}]}}}}"


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        ("dens: 3", "row", "there is no block `dens`; did you mean `dense`?"),
        ("dense: 3", "rows", "there is no input or node `rows`; did you mean `row`?"),
        ("dense: {unit: 3}", "row", "`dense` has no parameter `unit`; did you mean `units`?"),
        ("dense: {activation: relu}", "row", "`dense` needs `units`"),
        ("dense: 0", "row", "`dense` has `units`, which must be at least 1, not 0"),
        ("dense: 2.5", "row", "`dense` has `units`, which must be a whole number or a list, not 2.5"),
        ("dense: {units: [4, -1]}", "row", "`dense` has `units`, which has entry 2, which must be at least 1, not -1"),
        ("dense: {units: 3, dropout: 1}", "row", "`dense` has `dropout`, which must be below 1, not 1"),
        ("concat: 3", "row", '`concat` has `along`, which must be one of "features", "objects", not 3'),
        ("add: 3", "row", "`add` takes no value of its own, but 3 stands there; name its parameters"),
        ("lstm: 4", "row",
         "`lstm` needs objects x features, but its input is 5 features; a row has no objects to work along"),
        ("mean_pool", "row", "`mean_pool` reduces objects, but its input is 5 features, which has none"),
        ("dense: 3", "[objects, others]",
         "`dense` takes 1 input, but gets 2; put `concat`, `add` or `multiply` in front of it"),
        ("concat", "[objects, row]",
         "`concat` gets 7 objects x 6 features and 5 features; to use the row for each object, write its source as"
         " `{broadcast: name}`"),
        ("dense: 3", "{broadcast: row}",
         "`dense` cannot use a row for each object; put one of `add`, `concat`, `expression`, `multiply`, `pairs` in"
         " front of it"),
        ("concat", "[{broadcast: objects}, others]",
         "`concat` has a `broadcast` source of 7 objects x 6 features; only a row can be broadcast"),
        ("concat", "[{broadcast: row}, row]",
         "`concat` has a `broadcast` source, but none of its other inputs has objects to use it for"),
        ("add", "[objects, others]",
         "`add` cannot add 7 objects x 4 features to 7 objects x 6 features: the numbers of features differ"),
        ("concat: objects", "[objects, others]",
         "`concat` cannot put 7 objects x 4 features beside 7 objects x 6 features: the numbers of features differ"),
        ("reshape: [6, 7]", "objects",
         "`reshape` would lose the mask of 7 objects x 6 features; write `mask: ignore` to go on without it, or"
         " pool the"
         " objects"),
        ("reshape: [5, 5]", "objects", "`reshape` cannot make 5 x 5 of 7 objects x 6 features, which are 42 numbers"),
        ("conv1d: {filters: 4, kernel: 9, padding: valid}", "objects",
         "`conv1d` looks at 9 objects at once, but there are only 7; use `padding: same`"),
        ("conv1d: {filters: 4, groups: 4}", "objects",
         "`conv1d` cannot split 6 input features into 4 groups of equal size"),
        ("attention: {heads: 4}", "objects",
         "`attention` cannot split 6 features into 4 heads of equal size; give `key_dim`"),
        ("select: [pt, mass]", "row",
         "`select` finds no feature `mass` in its input; known are: `eta`, `m`, `n`, `phi`, `pt`"),
        ("select: 5", "row", "`select` wants feature 5 of 5 features; they count from 0"),
        ("dense: 3, select: pt", "row",
         "`select` wants feature `pt` by name, but only inputs of the network have names; give its position"),
        ("expression: \"y + 1\"", "row", "`expression` does not know `y` in `y + 1`; known are: `x`"),
        ("expression: \"sum(x)\"", "objects",
         "`expression` works number by number and cannot reduce objects with `sum`; use a pool"),
        ("expression: \"x + (\"", "row",
         "`expression` cannot read `x + (`: the expression ends too early; a value is missing"),
        ("expression: \"a + b\"", "[row, row]",
         "`expression` has several inputs; give them names with `from: {a: one, b: other}`"),
        ("einsum: \"nf -> f\"", "row",
         "`einsum` has `nf` for an input of 5 features; each axis needs a letter"),
        ("einsum: {equation: \"nf, fg -> ng\", parameters: [w]}", "objects",
         "`einsum` does not know the size of `g`; give it as `sizes: {g: 8}`"),
        ("einsum: \"nf ng\"", "objects", "`einsum` cannot read `nf ng`; write it like `of, fg -> og`"),
        ("einsum: \"nf, fg -> ng\"", "objects",
         "`einsum` has 2 terms in `nf, fg -> ng` for 1 input and 0 free weights"),
        ("activation: {function: relu, along: objects}", "objects",
         "`activation` cannot apply `relu` along objects, only `softmax`"),
        ("parameter: [3]", "row", "`parameter` takes no input, but gets 1"),
        ("repeat: {layers: [dense: 3]}", "row", "`repeat` needs either `times: 3` or `for: {name: [values]}`"),
        ("repeat: {for: {a: [1, 2], b: [1]}, layers: [dense: $a]}", "row",
         "`repeat` has lists of different lengths in `for` (a: 2, b: 1)"),
        ("repeat: {for: {units: [3]}, layers: [dense: $unit]}", "row",
         "`dense` uses `$unit`, which nothing here defines; did you mean `$units`? (in `units`)"),
        ("repeat: {for: {units: [big]}, layers: [dense: $units]}", "row",
         '`dense` has `units`, which must be a whole number or a list, not "big"'),
        ("repeat: {for: {units: [3]}, layers: [dense: $units / 2]}", "row",
         "`dense` has `units`, which must be a whole number or a list, not 1.5"),
        ("dense: input.channels", "row",
         "`dense` does not know the input `input` of `input.channels`; sizes of inputs are known inside of"
         " `blocks:` only"
         " (in `units`)"),
        ("parallel: {times: 2, layers: [dense: 3]}", "row",
         "node `out` ends with 2 values; put `concat`, `add` or `multiply` at its end"),
        ("share: encoder", "row", "`share` uses `encoder` for the first time and needs its `layers`"),
        ("attention: {heads: 2}", "{query: objects, key: others}",
         "`attention` has no input `key`; did you mean `keys`?"),
        ("add", "{a: row, b: row}", "`add` does not tell its inputs apart; write `from:` as a list"),
    ],
)  # fmt: skip
def test_one_mistake_one_sentence(mistakes: Mistakes, text: str, source: str, message: str) -> None:
    assert mistakes(layers(text, source)) == [message]


def test_all_mistakes_are_told_at_once(mistakes: Mistakes) -> None:
    found = mistakes(
        """
        graph:
          a: {from: objekts, layers: [dense: 0]}
          b: {from: objects, layers: [dense: {units: 3, aktivation: relu}, lstm: {unit: 4}]}
          c: {from: b, layers: [densse: 4]}
          d: {from: row, layers: [mean_pool]}
          e: {from: d, layers: [dense: 3]}
        """
    )
    assert len(found) == 6
    assert sum("objekts" in message for message in found) == 1
    assert not any(message.startswith("node `e`") for message in found)


def test_cycles_are_named(mistakes: Mistakes) -> None:
    found = mistakes(
        """
        graph:
          a: {from: [c, row], layers: [concat]}
          b: {from: a, layers: [dense: 3]}
          c: {from: b, layers: [dense: 3]}
          d: {from: d, layers: [dense: 3]}
          e: {from: a, layers: [dense: 3]}
        """
    )
    assert found == [
        "nodes feed themselves in a circle: b -> c -> a -> b",
        "nodes feed themselves in a circle: d -> d",
    ]


def test_a_block_that_contains_itself_is_a_mistake(mistakes: Mistakes) -> None:
    found = mistakes(
        """
        blocks:
          inner: {graph: {output: {from: input, layers: [outer]}}}
          outer: {graph: {output: {from: input, layers: [inner]}}}
        graph: {out: {from: row, layers: [outer]}}
        """
    )
    assert found == ["block `outer` contains itself: outer -> inner -> outer"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("twice: {times: 3}", "`twice` has no parameter `times`; known are: `act`, `units`"),
        ("twice", "`twice` needs `units`"),
        ("twice: {units: 0}", "`twice` has `units`, which must be at least 1, not 0"),
        ("twice: two", '`twice` has `units`, which must be a whole number, not "two"'),
        ("twice: {units: 3, act: rellu}",
         "`dense` has `activation`, which must be one of "),
    ],
)  # fmt: skip
def test_mistakes_in_the_use_of_a_yaml_block(mistakes: Mistakes, layer: str, message: str) -> None:
    text = f"""
    blocks:
      twice:
        parameters: {{units: {{type: integer, minimum: 1}}, act: {{type: string, default: relu}}}}
        graph: {{output: {{from: input, layers: [dense: {{units: "2 * $units", activation: $act}}]}}}}
    graph: {{out: {{from: row, layers: [{layer}]}}}}
    """
    (found,) = mistakes(text)
    assert found.startswith(message)
    if "rellu" in layer:
        assert found.endswith('not "rellu" (inside `twice` as node `out` uses it)')


def test_nodes_of_a_block_that_lead_nowhere_are_mistakes(mistakes: Mistakes) -> None:
    text = """
    blocks:
      lost: {graph: {side: {from: input, layers: [dense: 3]}, output: {from: input, layers: [dense: 3]}}}
      open: {graph: {end: {from: input, layers: [dense: 3]}}}
    graph: {out: {from: row, layers: [lost, open]}}
    """
    found = mistakes(text)
    assert "node `side` is used by nothing; the block ends at `output`" in found
    assert "block `open` has no node `output`, at which it ends" in found


def test_shared_weights_must_fit_everywhere(mistakes: Mistakes) -> None:
    text = """
    graph:
      a: {from: objects, layers: [share: {name: one, layers: [dense: 3]}]}
      b: {from: others, layers: [share: one]}
      c: {from: objects, layers: [share: {name: one, layers: [dense: 4]}]}
    """
    assert mistakes(text) == [
        "`share` gets 7 objects x 4 features, but the weights of `one` are for 7 objects x 6 features",
        "`share` has other layers than the first `one`; leave them out here",
    ]


def test_a_short_spec_cannot_ask_for_a_network_without_end(mistakes: Mistakes) -> None:
    nested = "dense: 3"
    for _ in range(6):
        nested = f"repeat: {{times: 1000, layers: [{nested}]}}"
    (found,) = mistakes(layers(nested, "row"))
    assert found == "the network has more than 20000 layers after all repetitions"
    assert mistakes(layers("repeat: {times: 1000000000, layers: [dense: 3]}", "row")) == [
        "`repeat` has `times`, which must be at most 1000, not 1000000000"
    ]
    (found,) = mistakes(layers("dense: {units: [1000000, 1000000]}", "row"))
    assert found == "node `out` has 1e+12 parameters, more than fit anywhere"


def test_a_mistake_points_to_where_it_stands() -> None:
    raw = {
        "out": {"from": "x", "layers": ["batch_norm", {"repeat": {"times": 2, "layers": [{"dense": {"units": -1}}]}}]}
    }
    with pytest.raises(PlanError) as caught:
        plan_network(build_model({"graph": raw}, {}), {"x": TensorType((3,))}, "keras")
    (mistake,) = caught.value.mistakes
    assert mistake.path == ("model", "graph", "out", "layers", 1, "repeat", "layers", 0, "dense", "units")
