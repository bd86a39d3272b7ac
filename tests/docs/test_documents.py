"""README and tutorials as a new user follows them: every command is run, in an empty directory."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli import main

EVENTS = "200"  # instead of the thousands that the text asks for


def _commands(text: str) -> list[tuple[list[str], bool]]:
    """The `engine` commands of a document, and whether each is said to fail."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("engine ")]
    return [(shlex.split(line, comments=True)[1:], line.endswith("# fails")) for line in commands]


def _follow(text: str) -> None:
    for arguments, fails in _commands(text):
        small = [
            EVENTS if before == "--events" else word for before, word in zip(["", *arguments], arguments, strict=False)
        ]
        short = ["--set", "training.epochs=1"] if small[0] == "run" else []
        result = CliRunner().invoke(main, [*small, *short], catch_exceptions=False)
        assert result.exit_code == (2 if fails else 0), f"engine {' '.join(small)}\n{result.output}"


@pytest.mark.slow
def test_the_readme_works_as_it_stands(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert len(_commands(text)) >= 6
    _follow(text)
    assert (tmp_path / "scored.root").is_file()


@pytest.mark.slow
def test_the_tutorial_works_as_it_stands(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (repository / "docs" / "tutorial_calratio.md").read_text(encoding="utf-8")
    before, after = text.split("## 5.")
    _follow(before)
    block, used, head = re.findall(r"```yaml\n(.*?)```", after, re.S)
    (tmp_path / "specs" / "gated.yaml").write_text(head + block + used, encoding="utf-8")
    _follow(after)
    assert (tmp_path / "runs" / "gated" / "latest" / "export" / "model.onnx").is_file()


@pytest.mark.slow
def test_the_tutorial_of_vertices_works_as_it_stands(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (repository / "docs" / "tutorial_ndive.md").read_text(encoding="utf-8")
    before, after = text.split("## 3.")
    _follow(before)
    (own,) = re.findall(r"```yaml\n(.*?)```", after, re.S)
    (tmp_path / "specs" / "my_loss.yaml").write_text(own, encoding="utf-8")
    _follow(after)
    assert (tmp_path / "taggers" / "report.html").is_file()
    assert (tmp_path / "scored.root").is_file()


def test_every_link_between_documents_leads_somewhere(repository: Path) -> None:
    documents = [repository / "README.md", repository / "CONTRIBUTING.md", *(repository / "docs").glob("*.md")]
    assert len(documents) >= 5
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
