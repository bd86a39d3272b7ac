"""What long work tells: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io

import pytest

from engine.progress import Progress, short


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_task_ends_in_one_plain_line() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress, progress.task("reading", total=4, unit="files") as task:
        for _ in range(4):
            task.advance()
        task.note("loss 0.5")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("reading: 4/4 files (100 %), ")
    assert lines[0].endswith("files/s, loss 0.5")


def test_without_a_terminal_lines_come_at_the_interval() -> None:
    stream = io.StringIO()
    with Progress(stream, interval=0.0) as progress, progress.task("reading", unit="rows") as task:
        task.advance(10)
        task.advance(10)
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "reading: 10 rows",
        "reading: 20 rows",
        "reading: 20 rows",
    ]


def test_work_of_an_earlier_run_counts_for_the_share_and_not_for_the_rate() -> None:
    with Progress(io.StringIO()) as progress, progress.task("epoch 1", total=1000) as task:
        task.start_at(900)
        assert task.rate == 0.0
        assert "900/1000" in task.line()


def test_a_terminal_gets_bars_and_sentences_above_them() -> None:
    stream = Terminal()
    with Progress(stream) as progress, progress.task("reading", total=2) as task:
        task.advance(2)
        progress.say("[1] is no markup")
    assert "[1] is no markup" in stream.getvalue()
    assert "reading" in stream.getvalue()


def test_a_failed_task_does_not_claim_to_be_done() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress, pytest.raises(ValueError, match="x"), progress.task("reading"):
        raise ValueError("x")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0123, "0.0123"),
        (5.214, "5.21"),
        (812.3, "812"),
        (4321, "4321"),
        (12345, "12.3k"),
        (1.2e6, "1.20M"),
        (123456, "123k"),
    ],
)
def test_numbers_are_told_in_three_digits(number: float, text: str) -> None:
    assert short(number) == text


def test_a_task_without_any_work_says_nothing() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress, progress.task("preparing", unit="files"):
        pass
    assert stream.getvalue() == ""
