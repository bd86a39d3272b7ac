"""Targets of vectors, objects and pairs, and weights from expressions: what fits, and what is told about the rest."""

from __future__ import annotations

import pytest

from engine.spec.load import load_text


def added(target: str) -> tuple[str, str]:
    """The small spec with one more target."""
    return "  columns:", f"    more: {target}\n  columns:"


@pytest.mark.parametrize(
    "target",
    [
        "{expression: {x: jets.pt, y: first(clusters.pt)}, valid: jets.pt > 50, unit: mm}",
        "{expression: [jets.pt, 2]}",
        "{of: clusters, expression: pt, valid: eta > 0}",
        "{of: clusters, expression: rank(-pt) == 0}",
        "{of: clusters, expression: pt / sum(pt) * jets.pt}",
        "{of: clusters, expression: eta, classes: {background: 0, signal: 1}}",
        "{of: clusters, expression: {pt: pt, eta: eta - jets.eta}}",
        "{pairs: clusters, expression: left.pt > right.pt, valid: count(clusters) > 1}",
        "{pairs: clusters, expression: left.pt * jets.pt}",
        "{pairs: clusters, expression: left.eta, classes: {low: 0, high: 1}}",
        "{classes: {low: 0, high: 1}, expression: jets.pt > 100, valid: 'event.run in [1, 2]'}",
    ],
)
def test_targets_that_fit(tell, target: str) -> None:  # type: ignore[no-untyped-def]
    assert tell(added(target)) == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{of: clusterz, expression: pt}", "there is no input `clusterz`; did you mean `clusters`?"),
        ("{pairs: clusterz, expression: left.pt}", "there is no input `clusterz`; did you mean `clusters`?"),
        ("{of: jet, expression: pt}", "the input `jet` is the row itself; name an input of objects; known are: `clus"),
        ("{of: clusters, pairs: clusters, expression: pt}", "`of` and `pairs` exclude each other; keep one of them"),
        ("{of: clusters, expression: ptt}", "the objects have no field `ptt`; did you mean `pt`?"),
        ("{of: clusters, expression: pt, valid: etta > 1}", "the objects have no field `etta`; did you mean `eta`?"),
        ("{of: clusters, expression: jets.ptt}", "`jets` has no field `ptt`; did you mean `pt`?"),
        ("{of: clusters, expression: left.pt}", "there is no collection `left`"),
        ("{of: clusters}", "`more` needs `classes`, or an `expression` whose value is learnt"),
        ("{of: clusters, classes: [signal, background]}", "of objects each class needs its value: write `classes: {na"),
        ("{pairs: clusters, expression: pt}", "`pt` is of one object, and a pair has two: write `left.pt` or `right."),
        ("{pairs: clusters, expression: left.ptt}", "the objects have no field `ptt`; did you mean `pt`?"),
        ("{pairs: clusters, expression: sum(left.pt)}", "`left.pt` is one value a pair, and reductions such as `sum("),
        ("{pairs: clusters, expression: clusters.pt}", "a row has several `clusters`; make one value of them"),
        ("{pairs: clusters, expression: 1, valid: right.x}", "the objects have no field `x`; known are: `eta`, `pt`"),
        ("{expression: {x: jets.pt, y: jets.x}}", "`jets` has no field `x`; known are: `eta`, `phi`, `pt`"),
        ("{expression: [jets.pt, jets.x]}", "`jets` has no field `x`; known are: `eta`, `phi`, `pt`"),
        (
            "{expression: {x: jets.pt}, classes: {low: 0, high: 1}}",
            "classes are those of one number; a vector has none",
        ),
        ("{expression: jets.pt, classes: {low: 0, high: 1}, unit: mm}", "classes have no unit; leave it out"),
        ("{expression: {x: 'jets.pt +'}}", "in the expression `jets.pt +`: the expression ends too early"),
        ("{expression: {1x: jets.pt}}", "1x"),
        ("{expression: []}", "`expression`"),
        ("{expression: jets.pt, valid: 'rank(jets.pt, 2)'}", "`rank` takes 1 value, not 2"),
        ("{expression: jets.pt, vaild: 1}", "did you mean `valid`?"),
    ],
)
def test_targets_that_do_not_fit_are_told(tell, target: str, message: str) -> None:  # type: ignore[no-untyped-def]
    assert any(message in told for told in tell(added(target))), tell(added(target))


def test_a_mistake_in_a_component_is_shown_where_it_stands(tell) -> None:  # type: ignore[no-untyped-def]
    (told,) = tell(added("{expression: {x: jets.pt, y: 2 * jets.x}}"))
    assert told.startswith("small.yaml:17:44: `jets` has no field `x`"), told


def test_an_input_of_a_text_has_no_objects_to_learn_of(tell) -> None:  # type: ignore[no-untyped-def]
    words = "    words: {text: event.run, vocabulary: [a, b], unknown: skip, keep: 3}\n    jet: {of: jets"
    told = tell(("    jet: {of: jets", words), added("{of: words, expression: 1}"))
    assert any("the objects of `words` are the tokens of a text" in each for each in told), told


@pytest.mark.parametrize("name", ["left", "right"])
def test_the_names_of_a_pair_are_no_collections(tell, name: str) -> None:  # type: ignore[no-untyped-def]
    told = tell(("    clusters: {owner", f"    {name}: {{pt: x}}\n    clusters: {{owner"))
    assert any(f"`{name}` has a meaning of its own in expressions" in each for each in told), told


def test_classes_of_objects_are_none_of_rows(tell) -> None:  # type: ignore[no-untyped-def]
    classes = "{of: clusters, expression: pt, classes: {odd: 0, even: 1}}"
    told = tell(added(classes), ("label: signal}", "label: odd}"))
    assert any("`odd` is not a class of any target" in each for each in told), told
    told = tell(added(classes), ("  split:", "  weights: {own: {balance: more}}\n  split:"))
    assert any("`more` has no classes of rows to be balanced" in each for each in told), told


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("{expression: '1 / max(1, count(clusters))'}", None),
        ("{expression: 1 / jets.ptt}", "`jets` has no field `ptt`; did you mean `pt`?"),
        ("{expression: clusters.pt}", "a row has several `clusters`; make one value of them, as in `sum(clusters.pt)`"),
    ],
)
def test_weights_from_expressions(tell, weight: str, message: str | None) -> None:  # type: ignore[no-untyped-def]
    told = tell(("  split:", f"  weights: {{own: {weight}}}\n  split:"))
    assert told == [] if message is None else any(message in each for each in told), told


def test_targets_are_typed(small: str) -> None:
    text = small.replace(*added("{expression: {x: jets.pt, y: jets.eta}, valid: jets.pt > 50, unit: mm}"))
    text = text.replace("    more:", "    pairing: {pairs: clusters, expression: left.pt > right.pt}\n    more:")
    targets = load_text(text, (), name="small.yaml").data.targets
    more, pairing, label = targets["more"], targets["pairing"], targets["label"]
    assert (more.kind, more.components, more.unit, more.input) == ("row", ("x", "y"), "mm", None)
    assert more.expression is None
    assert [str(each) for each in more.expressions] == ["jets.pt", "jets.eta"]
    assert (pairing.kind, pairing.pairs, pairing.of, pairing.input) == ("pairs", "clusters", None, "clusters")
    assert str(pairing.expression) == "left.pt > right.pt"
    assert (label.kind, label.expression, label.expressions) == ("row", None, ())


def test_pairs_of_very_many_objects_are_refused_before_the_memory_is_full(tell) -> None:  # type: ignore[no-untyped-def]
    pairs = added("{pairs: clusters, expression: left.pt > right.pt}")
    assert tell(pairs, ("keep: 10", "keep: 1000")) == []
    (message,) = tell(pairs, ("keep: 10", "keep: 1000000"))
    assert "`clusters` keeps 1,000,000 objects, which would be 1,000,000,000,000 pairs a row" in message
