"""The tutorial of layers as a new user follows it: files are saved, commands run, and what they print is compared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli import main

SMALL = {"--events": "300"}
"""Instead of the thousands that the text asks for."""

SHORT = ["training.epochs=1", "training.steps_per_epoch=4", "training.validations_per_epoch=1"]
PIECE = re.compile(r"```(sh|yaml|text)\n(.*?)```", re.S)
FILE = re.compile(r"`(specs/[\w/]+\.yaml)`:\s*$")


def call(line: str) -> str:
    """Run an `engine` command, smaller than it stands there; gives what it printed."""
    fails = line.endswith("# fails")
    arguments = shlex.split(line, comments=True)[1:]
    for option, value in SMALL.items():
        if option in arguments:
            arguments[arguments.index(option) + 1] = value
    if arguments[0] == "run":
        arguments += [word for override in SHORT for word in ("--set", override)]
        arguments += ["--device", "cpu", "--workers", "1"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == (2 if fails else 0), f"{line}\n{result.output}"
    return result.output


def follow(text: str) -> int:
    """Do what a document says; gives the number of its commands."""
    commands, output, end = 0, "", 0
    for piece in PIECE.finditer(text):
        before, (kind, content), end = text[end : piece.start()], piece.groups(), piece.end()
        named = FILE.search(before)
        if kind == "yaml" and named:
            path = Path(named[1])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        elif kind == "sh":
            for line in content.splitlines():
                output, commands = call(line), commands + 1
        elif kind == "text":
            for line in content.splitlines():
                assert line in output, f"not printed: {line}\n{output}"
    return commands


@pytest.mark.slow
def test_the_tutorial_of_layers_works_as_it_stands(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    assert follow((repository / "docs" / "tutorial_layers.md").read_text(encoding="utf-8")) >= 13
    for name in ("smartbkg", "smartbkg_gated", "smartbkg_tuned"):
        assert (tmp_path / "runs" / name / "latest" / "export" / "model.onnx").is_file()
    assert (tmp_path / "gated.svg").read_text(encoding="utf-8").startswith("<svg")
    assert (tmp_path / "comparison" / "report.html").is_file()
    assert (tmp_path / "scored.parquet").is_file()


def test_the_layer_of_the_tutorial_is_found_wrong_as_it_says(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part up to the right layer, without any training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    text = (repository / "docs" / "tutorial_layers.md").read_text(encoding="utf-8")
    assert follow(text.partition("## 6.")[0]) >= 8
