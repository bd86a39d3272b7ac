"""The vocabulary of decay strings that comes with the program: `python -m engine.simulate.pdg_vocabulary FILE.json`.

It needs `pip install particle decaylanguage` (both BSD 3-clause), and only whoever makes the file anew needs them. The
tokens are the three that decay strings are built with, then PDG codes: all those of the particles in the Belle II decay
file that decaylanguage ships, and after them further particles of the table of `particle`, from light to heavy, until
there are as many tokens as the published embeddings have rows (that of padding left out).
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from engine.errors import UsageError

TOKENS = 541
STRUCTURE = ("0", "(-->", "<--)")
"""No mother; the daughters begin; they end."""

LARGEST = 2**24
"""Codes beyond it (nuclei) are no exact float32, which an exported network gets."""

NOTE = (
    "Tokens of decay strings: those of their structure, the particles of the Belle II decay file in decaylanguage, "
    "and further ones of the PDG table in particle; made by engine/simulate/pdg_vocabulary.py"
)


def make_tokens() -> list[str]:
    """The tokens in their order.

    Raises:
        UsageError: the packages are not installed.
    """
    try:
        table: Any = import_module("particle")
        decay_file = files("decaylanguage") / "data" / "DECAY_BELLE2.DEC"
    except ImportError:
        message = "the vocabulary is made with two packages: pip install particle decaylanguage"
        raise UsageError(message) from None
    names = files("particle") / "data" / "pdgid_to_evtgenname.csv"
    used = _codes(decay_file.read_text(encoding="utf-8"), _named(names.read_text(encoding="utf-8")))
    others = [each for each in table.Particle.all() if int(each.pdgid) not in used and abs(int(each.pdgid)) < LARGEST]
    others.sort(key=lambda each: (each.mass if each.mass is not None else float("inf"), _order(int(each.pdgid))))
    missing = TOKENS - len(STRUCTURE) - len(used)
    more = [int(each.pdgid) for each in others if each.pdgid.is_hadron or each.pdgid.is_lepton][:missing]
    return [*STRUCTURE, *map(str, sorted([*used, *more], key=_order))]


def _order(code: int) -> tuple[int, bool]:
    """By the code without its sign, particles before their antiparticles."""
    return abs(code), code < 0


def _named(table: str) -> dict[str, int]:
    """Name -> PDG code, from lines `511,B0`."""
    rows = [line.split(",") for line in table.splitlines() if line[:1] in "-0123456789"]
    return {name: int(code) for code, name in rows}


def _codes(decay_file: str, names: dict[str, int]) -> set[int]:
    """PDG codes of all particles that the blocks `Decay` .. `Enddecay` of a decay file name."""
    aliases: dict[str, str] = {}
    found: set[int] = set()
    inside = False
    for line in decay_file.splitlines():
        words = line.partition("#")[0].replace(";", " ").split()
        if not words:
            continue
        if words[0] == "Alias":
            aliases[words[1]] = words[2]
        inside = inside and words[0] != "Enddecay"
        named = words[1:] if inside or words[0] in ("Decay", "CDecay") else []
        for word in named:
            name = aliases.get(word, word)
            if name in names:
                found.add(names[name])
        inside = inside or words[0] == "Decay"
    return {code for code in found if abs(code) < LARGEST}


def write(path: Path) -> None:
    """Write the vocabulary, eight tokens a line."""
    tokens = [json.dumps(token) for token in make_tokens()]
    lines = ",\n  ".join(", ".join(tokens[start : start + 8]) for start in range(0, len(tokens), 8))
    path.write_text(f'{{\n "note": {json.dumps(NOTE)},\n "tokens": [\n  {lines}\n ]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
