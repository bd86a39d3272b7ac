"""What a network needs on other files is asked for before it is trained."""

from __future__ import annotations

import pytest

SPLIT = "  split: {by: [run, number]}"
PREDICT = SPLIT + "\n  predict: {rows: good}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("name: small", "name: small\nexport: [onnx]")], "the spec does not say which; write `predict:` in `data`"),
        (
            [("name: small", "name: small\nexport: [onnx, onnx: {opset: 19}]"), (SPLIT, PREDICT)],
            "two exporters write a file named `model`; give one of them another `name`",
        ),
        (
            [("rows: good, label: signal}", "rows: {nearest: good, to: jets}, label: signal}"),
             ("scale: 1/500", "expression: pt / matched.pt")],
            "an input cannot be made of `matched.pt`: rows that are predicted are matched to nothing",
        ),
        (
            [("label: signal}", "label: signal, constants: {m: 1}}"), ("scale: 1/500", "expression: pt / constants.m"),
             (SPLIT, PREDICT)],
            "rows that are predicted have no constant `m`; write `constants: {m: <value>}` in `predict`",
        ),
    ],
)  # fmt: skip
def test_mistakes_that_would_show_after_the_training_only(tell, changes, message) -> None:
    assert any(message in problem for problem in tell(*changes)), tell(*changes)


def test_a_constant_that_predict_knows_may_be_a_feature(tell) -> None:
    constant = ("label: signal}", "label: signal, constants: {m: 1}}")
    known = (SPLIT, SPLIT + "\n  predict: {rows: good, constants: {m: 2}}")
    assert tell(constant, ("scale: 1/500", "expression: pt / constants.m"), known) == []
