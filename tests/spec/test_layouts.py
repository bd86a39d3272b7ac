"""What a selection is made of is found in one place, for the checks, the preparation and the export."""

from __future__ import annotations

from pathlib import Path

from engine.spec.layouts import base_of, base_or_name
from engine.spec.load import load_text
from engine.spec.sections import LayoutSpec


def test_selections_of_selections_lead_to_their_collection(small: str) -> None:
    layout = load_text(small.replace("  samples:", "    best: {of: good, where: pt > 90}\n  samples:", 1)).data.layouts[
        "default"
    ]
    assert [base_of(layout, name) for name in ("jets", "good", "best", "nothing")] == ["jets", "jets", "jets", None]
    assert base_or_name(layout, "nothing") == "nothing"


def test_a_selection_of_itself_leads_nowhere(small: str) -> None:
    layout = load_text(small).data.layouts["default"]
    circular = {"good": layout.selections["good"].__class__("good", "good", layout.selections["good"].where, ())}
    looped = LayoutSpec(layout.name, layout.format, layout.tree, layout.collections, circular, ())
    assert base_of(looped, "good") is None


def test_selections_are_followed_and_slots_named_in_one_file_alone(repository: Path) -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (repository / "engine").rglob("*.py")}
    followed = [path.name for path, text in sources.items() if "= layout.selections[name].of" in text]
    assert [path.name for path, text in sources.items() if '"{i}"' in text] == ["layouts.py"]
    assert followed.count("layouts.py") == len(followed)
