"""Trainings in phases, with frozen nodes and several validations an epoch: what each does, and what is told of them."""

from __future__ import annotations

import io
import signal
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import Interrupted, SpecError, TrainingError
from engine.evaluation.history import read_history
from engine.training import checkpoint
from engine.training.logs import read_log

TAGGING = "updates: [{minimize: tagging, optimizer: {adam: {lr: 1e-3}}}]"
WHOLE = [f"training.{TAGGING.replace(': ', '=', 1)}"]


def weights(path: Any) -> dict[str, torch.Tensor]:
    return load_file(path / "network.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], node: str = "") -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items() if name.startswith(node))


@pytest.fixture(scope="module")
def phased(toy: Any, toy_module: Any) -> tuple[Any, Any, str]:
    """Summary, run and what was told."""
    told = io.StringIO()
    summary = toy.train("phased", [toy_module.PHASES], told=told)
    return summary, toy.run("phased"), told.getvalue()


def test_epochs_and_steps_go_on_through_the_phases(phased: tuple[Any, Any, str]) -> None:
    summary, run, told = phased
    lines = read_log(run.metrics_log)
    third = [round(number / 3, 6) for number in range(1, 7)]
    assert [line["epoch"] for line in lines] == [*third, 3, 4, 5]
    assert [line["phase"] for line in lines] == ["alone"] * 6 + ["against"] + ["last"] * 2
    assert [line["step"] for line in lines] == [4, 8, 13, 17, 21, 26, 39, 45, 51]
    assert [line["phase"] for line in read_log(run.metrics_log, "step")] == ["alone"] * 6 + ["against"] * 3 + [
        "last"
    ] * 3
    assert (summary.epochs, summary.steps) == (5, 51)
    assert [name for name, _, _ in summary.phases] == ["alone", "against", "last"]
    assert summary.sentence.startswith("trained 5 epochs: alone 2; against 1; last 2 (51 iterations in ")
    assert "alone: epoch 1/2, part 1/3: 4/4 steps" in told
    assert "last: epoch 2/2: 6/6 steps" in told
    assert "phase alone: 2 epochs of 13 steps, origin frozen" in told


def test_an_update_has_its_losses_alone_and_validation_all(phased: tuple[Any, Any, str]) -> None:
    for line in read_log(phased[1].metrics_log):
        assert ("train.confusion" in line) == (line["phase"] == "against")
        assert {"validation.tagging", "validation.confusion", "validation.total"} <= line.keys()


def test_what_is_frozen_stays_with_its_running_means(phased: tuple[Any, Any, str], toy: Any) -> None:
    phase = f"training.phases=[{{name: only, epochs: 1, freeze: [pattern, origin], {TAGGING}}}]"
    start = toy.train("frozen-start", [phase.replace("epochs: 1", "epochs: 0")])
    end = toy.train("frozen", [phase])
    before, after = weights(start.last), weights(end.last)
    assert {name for name in before if "running" in name}
    assert same(before, after, "origin.")
    assert same(before, after, "pattern.")
    assert not same(before, after, "class.")


def test_freezing_needs_no_phases(toy: Any) -> None:
    start = toy.train("still-start", [*WHOLE, "training.phases=[{name: a, epochs: 0}]"])
    end = toy.train("still", [*WHOLE, "training.freeze=[pattern]", "training.epochs=1"])
    assert same(weights(start.last), weights(end.last), "pattern.")
    assert not same(weights(start.last), weights(end.last), "class.")


def test_a_phase_begins_with_the_best_of_the_one_before(toy: Any) -> None:
    """The first phase is best (largest loss) after one epoch of three; nothing happens in the second."""
    worst = "best: {metric: train.tagging, mode: max}"
    first = f"{{name: a, epochs: 3, {TAGGING}, {worst}}}"
    summary = toy.train("best-of-first", [f"training.phases=[{first}]"])
    both = toy.train("best-of-both", [f"training.phases=[{first}, {{name: b, epochs: 0, {TAGGING}}}]"])
    assert not same(weights(summary.best), weights(summary.last))
    assert same(weights(summary.best), weights(both.last))
    assert same(weights(summary.best), weights(both.best))
    assert both.best_epoch == 1
    assert both.best_metrics == pytest.approx(
        {**summary.best_metrics, "rows_per_second": both.best_metrics["rows_per_second"]}
    )


def test_without_a_metric_the_last_validation_of_a_phase_is_kept(phased: tuple[Any, Any, str]) -> None:
    summary, run, _ = phased
    assert summary.best_epoch == 5
    assert same(weights(summary.best), weights(summary.last))
    assert read_history(run.metrics_log).best is None


def test_early_stopping_ends_its_phase_and_the_next_one_begins(toy: Any) -> None:
    stopping = "early_stopping: {metric: validation.tagging, patience: 2, min_delta: 100}"
    first = f"{{name: a, epochs: 40, validations_per_epoch: 2, {TAGGING}, {stopping}}}"
    phases = f"training.phases=[{first}, {{name: b, {TAGGING}}}]"
    told = io.StringIO()
    summary = toy.train("early-phase", [phases, "training.epochs=1"], told=told)
    lines = read_log(toy.run("early-phase").metrics_log)
    assert [line["epoch"] for line in lines] == [0.5, 1, 1.5, 3], "one and a half epochs, then a whole one"
    assert summary.phases == (("a", 2, True), ("b", 1, False))
    assert not summary.stopped_early
    assert "a 2, stopped early; b 1" in summary.sentence
    assert toy.train("early-phase", [phases, "training.epochs=1"], resume=True).phases == summary.phases


@pytest.mark.parametrize("step", [6, 13, 26, 39, 44])
def test_a_signal_in_any_phase_leaves_a_checkpoint_to_continue_from(
    step: int, toy: Any, toy_module: Any, phased: tuple[Any, Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training.loop import Loop

    iterate, name = Loop.iterate, f"phased-{step}"

    def stopping(self: Any, batches: Any) -> None:
        iterate(self, batches)
        if self.position.step == step:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "iterate", stopping)
        with pytest.raises(Interrupted, match=f"stopped at step {step}"):
            toy.train(name, [toy_module.PHASES])
    toy.train(name, [toy_module.PHASES], resume=True)
    assert_same(toy, "phased", name)


@pytest.mark.parametrize("link", ["best", "last"])
@pytest.mark.parametrize("phase", [1, 2])
def test_a_kill_between_two_phases_makes_no_difference(
    link: str, phase: int, toy: Any, toy_module: Any, phased: tuple[Any, Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before one of the links to the checkpoint that a phase begins with is set."""
    from engine.training.loop import Loop

    save, set_link, name = Loop.save, checkpoint._link, f"between-{link}-{phase}"
    border = False

    def watched(self: Any, best: bool) -> Any:
        nonlocal border
        border = self.position.phase == phase and self.position.step == self.position.first_step
        return save(self, best)

    def killed(path: Any, target: str) -> None:
        if border and path.name == link:
            raise KeyboardInterrupt
        set_link(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "save", watched)
        patch.setattr(checkpoint, "_link", killed)
        with pytest.raises(KeyboardInterrupt):
            toy.train(name, [toy_module.PHASES])
    toy.train(name, [toy_module.PHASES], resume=True)
    assert_same(toy, "phased", name)


def assert_same(toy: Any, one: str, other: str) -> None:
    timed = ("seconds", "rows_per_second")
    for link in ("best", "last"):
        assert same(*(weights(toy.run(name).checkpoints / link) for name in (one, other)))
    logs = [
        [
            {key: value for key, value in line.items() if key not in timed}
            for line in read_log(toy.run(name).metrics_log)
        ]
        for name in (one, other)
    ]
    assert logs[0] == logs[1]


def test_patience_counts_validations(toy: Any) -> None:
    stopping = "training.early_stopping={metric: validation.tagging, patience: 3, min_delta: 100}"
    summary = toy.train("patience", [stopping, "training.validations_per_epoch=2", "training.epochs=9"])
    assert summary.steps == 26, "one validation that is best, then three"
    assert summary.stopped_early


def test_the_log_marks_the_best_and_the_history_finds_it(toy: Any) -> None:
    summary = toy.train("parts", ["training.validations_per_epoch=4", "training.epochs=2"])
    history = read_history(toy.run("parts").metrics_log)
    curve = history.curves["validation.tagging"]
    assert list(curve) == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert history.best == summary.best_epoch == min(curve, key=lambda epoch: curve[epoch])


def test_a_schedule_begins_anew_in_each_phase(toy: Any) -> None:
    update = "{minimize: tagging, optimizer: {adam: {lr: 1e-3}}, schedule: {cosine: {floor: 0.0}}}"
    toy.train(
        "schedules",
        [
            f"training.updates=[{update}]",
            "training.phases=[{name: a, epochs: 1}, {name: b, epochs: 1}]",
            "training.log_every=13",
        ],
    )
    rates = [line["lr.1"] for line in read_log(toy.run("schedules").metrics_log, "step")]
    assert rates[0] == pytest.approx(rates[1])
    assert rates[0] < 1e-4


def test_plateau_counts_validations_and_forgets_the_moments(toy: Any) -> None:
    plateau = "schedule: {plateau: {metric: train.total, patience: 1, min_delta: 100, factor: 0.5, reset: true}}"
    update = f"{{minimize: tagging, optimizer: {{adam: {{lr: 1e-3}}}}, {plateau}}}"
    toy.train("plateau", [f"training.updates=[{update}]", "training.validations_per_epoch=2", "training.epochs=1"])
    state = checkpoint.load_state(toy.run("plateau").checkpoints / "last")
    (optimizer,), (schedule,) = state["optimizers"], state["schedules"]
    assert schedule["level"] == 0.5
    assert optimizer["steps"] == 0
    assert all((each == 0).all() for slot in optimizer["slots"].values() for each in slot)


def test_tensorboard_tells_the_phases(phased: tuple[Any, Any, str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(phased[1].tensorboard), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    texts = [(event.step, event.tensor_proto.string_val[0].decode()) for event in found.Tensors("phase/text_summary")]
    assert [step for step, _ in texts] == [0, 26, 39]
    assert texts[1][1] == "phase against: 1 epoch of 13 steps"
    steps = [event.step for event in found.Scalars("validation/tagging")]
    assert steps == [4, 8, 13, 17, 21, 26, 39, 45, 51]


def test_more_validations_than_steps_are_told(toy: Any) -> None:
    with pytest.raises(TrainingError, match=r"`validations_per_epoch` is 14, but an epoch has no more than 13"):
        toy.train("too-many", ["training.validations_per_epoch=14"])


def test_a_checkpoint_of_a_later_phase_is_refused(toy: Any) -> None:
    one, two = (", ".join(f"{{name: {name}, epochs: 1, {TAGGING}}}" for name in names) for names in ("a", "ab"))
    toy.train("fewer", [f"training.phases=[{two}]"])
    with pytest.raises(TrainingError, match="it is of phase 2 and the spec has 1; start a new run"):
        toy.train("fewer", [f"training.phases=[{one}]"], resume=True)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["training.updates=[]"], "`updates` is missing; write what is minimised"),
        (
            ["training.updates=[]", "training.phases=[{name: a}]"],
            "the phase `a` has no `updates`, and `training` has none",
        ),
        (["training.phases=[{name: a}, {name: a}]"], "there are two phases `a`"),
        (["training.freeze=[patern]"], "there is no node `patern`; did you mean `pattern`?"),
        (["training.phases=[{name: a, freeze: [origins]}]"], "there is no node `origins`; did you mean `origin`?"),
        (["training.phases=[{name: a, epoch: 3}]"], "`epoch`"),
        (["training.phases=[{epochs: 3}]"], "`name`"),
        (["training.phases=[{name: a, load: {from: runs/x, nodes: [clas]}}]"], "there is no node `clas`"),
        (["training.load={from: runs/x, nodes: {a: class, b: class}}"], "`class` would be loaded twice, from `a`"),
        (["training.phases=[{name: a, best: {metric: validation.tagin}}]"], "training logs no `validation.tagin`"),
        (["training.losses.tagging.cross_entropy.where=lable == 1"], "`lable`; did you mean `label`?"),
        (["training.losses.tagging.cross_entropy.where=sum(size) > 1"], "`sum` has no objects to run over"),
        (["training.losses.sum={distance: {of: class, target: size, stream: main}}"], "`size` is no vector"),
    ],
)
def test_what_does_not_fit_is_told(toy: Any, overrides: list[str], sentence: str) -> None:
    with pytest.raises(SpecError) as raised:
        toy.load(overrides)
    assert sentence in str(raised.value)
