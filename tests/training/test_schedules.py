"""Learning-rate schedules against their closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.spec.sections import ChoiceSpec
from engine.training.schedules import FACTORS, make_schedule

STEPS, EPOCHS = 10, 5


def factors(kind: str, **options: Any) -> list[float]:
    schedule = make_schedule(ChoiceSpec(kind, options, ()), STEPS, EPOCHS)
    return [schedule.factor(step) for step in range(STEPS * EPOCHS)]


def test_without_a_schedule_the_rate_stays() -> None:
    assert make_schedule(None, STEPS, EPOCHS).factor(1000) == 1.0


def test_cosine_falls_to_its_floor_over_the_whole_training() -> None:
    expected = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / 50)) for step in range(50)]
    assert factors("cosine", floor=0.1, per="step") == pytest.approx(expected)


def test_cosine_stays_at_its_floor_after_its_duration() -> None:
    values = factors("cosine", floor=0.25, per="step", duration=20)
    assert values[10] == pytest.approx(0.625)
    assert values[20:] == [0.25] * 30


def test_cosine_per_epoch_changes_between_epochs_alone() -> None:
    values = factors("cosine", per="epoch")
    assert [len(set(values[start : start + STEPS])) for start in range(0, 50, STEPS)] == [1] * EPOCHS
    assert values[::STEPS] == pytest.approx([0.5 * (1 + math.cos(math.pi * epoch / 5)) for epoch in range(5)])


def test_steps_multiply_by_the_factor() -> None:
    assert factors("step", factor=0.5, every=2, per="epoch")[::STEPS] == pytest.approx([1, 1, 0.5, 0.5, 0.25])


def test_exponential_multiplies_by_the_factor_over_each_period() -> None:
    expected = [0.5 ** (step / 10) for step in range(50)]
    assert factors("exponential", factor=0.5, every=10, per="step") == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["constant", "cosine", "step", "exponential"])
def test_warm_up_rises_linearly_and_the_schedule_begins_after_it(kind: str) -> None:
    values = factors(kind, per="step", warmup=4)
    assert values[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert values[4] == 1.0


def test_cosine_with_warm_up_still_ends_with_the_training() -> None:
    schedule = make_schedule(ChoiceSpec("cosine", {"per": "step", "warmup": 10}, ()), STEPS, EPOCHS)
    assert schedule.factor(50) == pytest.approx(0.0)
    assert schedule.factor(30) == pytest.approx(0.5)


def test_plateau_comes_down_after_epochs_without_improvement_and_no_lower_than_its_floor() -> None:
    options = {"metric": "validation.tagging", "factor": 0.5, "patience": 2, "min_delta": 0.01, "floor": 0.2}
    schedule = make_schedule(ChoiceSpec("plateau", options, ()), STEPS, 100)
    levels = []
    for value in [1.0, 0.5, 0.495, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]:
        schedule.observe({"validation.tagging": value})
        levels.append(schedule.factor(0))
    assert levels == pytest.approx([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2])


def test_plateau_of_a_metric_that_should_rise() -> None:
    options = {"metric": "validation.tagging.auc", "mode": "max", "patience": 1, "factor": 0.1}
    schedule = make_schedule(ChoiceSpec("plateau", options, ()), STEPS, 100)
    for value in [0.5, 0.7, 0.9]:
        schedule.observe({"validation.tagging.auc": value})
    assert schedule.factor(0) == 1.0
    schedule.observe({"validation.tagging.auc": 0.8})
    assert schedule.factor(0) == pytest.approx(0.1)


def test_plateau_continues_from_a_checkpoint() -> None:
    choice = ChoiceSpec("plateau", {"patience": 2, "factor": 0.1}, ())
    first, second = make_schedule(choice, STEPS, 100), make_schedule(choice, STEPS, 100)
    for value in [1.0, 1.0]:
        first.observe({"validation.total": value})
    second.restore(first.state())
    second.observe({"validation.total": 1.0})
    assert second.factor(0) == pytest.approx(0.1)


def test_every_kind_starts_at_the_full_rate() -> None:
    assert all(factors(kind)[0] == 1.0 for kind in FACTORS)


def test_plateau_tells_when_it_comes_down_so_that_the_optimizer_can_forget() -> None:
    schedule = make_schedule(ChoiceSpec("plateau", {"patience": 2, "factor": 0.5, "floor": 0.5}, ()), STEPS, 100)
    told = [schedule.observe({"validation.total": value}) for value in [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]]
    assert told == [False, False, True, False, False, False], "at the floor nothing changes any more"


def test_plateau_waits_for_a_finite_value() -> None:
    schedule = make_schedule(ChoiceSpec("plateau", {"patience": 3}, ()), STEPS, 100)
    for value in [float("nan"), 1.0, 0.5]:
        schedule.observe({"validation.total": value})
    assert (schedule.best, schedule.waited) == (0.5, 0)
