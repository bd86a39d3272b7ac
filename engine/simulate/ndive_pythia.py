"""Jets of top pairs and of QCD, made by Pythia 8 at 13 TeV.

Half of the jets of each flavour are from top pairs, both W decaying to quarks; half from hard QCD: b and c pairs for b
and c jets, all of it for light jets, in a spectrum that is flatter than nature's so that all momenta occur. As many
jets of each flavour are taken in each range of the transverse momentum: it says nothing about the flavour. There is no
underlying event (a third of a track in a jet for three times the time), no pile-up, and the collision is at the origin.
Every particle that `ndive_branches.is_measured` names has a track.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import UsageError
from engine.simulate import ndive_files
from engine.simulate.jet_truth import BEAUTY, CHARM, FLAVOURS, LIGHT, TruthJets
from engine.simulate.pythia_history import read_batch
from engine.simulate.pythia_jets import make_jets

if TYPE_CHECKING:
    from engine.progress import Progress

EVENTS_A_BATCH = 250
EDGES = (23.0, 30.0, 40.0, 55.0, 75.0, 105.0, 140.0, 200.0)
SHARES = (0.14, 0.18, 0.20, 0.17, 0.15, 0.10, 0.06)
"""Ranges of the transverse momentum of the jets, GeV, and the part of the jets in each, for every flavour alike."""

_LARGEST_SEED = 900_000_000
_COMMON = (
    "Print:quiet = on",
    "Beams:eCM = 13000.",
    "PartonLevel:MPI = off",
    "Random:setSeed = on",
)
_FLATTER = (
    "PhaseSpace:pTHatMin = 20.",
    "PhaseSpace:pTHatMax = 300.",
    "PhaseSpace:bias2Selection = on",
    "PhaseSpace:bias2SelectionPow = 4.",
)


@dataclass(frozen=True)
class Process:
    """What Pythia makes, and the flavours of the jets that are taken from it."""

    settings: tuple[str, ...]
    flavours: tuple[int, ...]


TOP_PAIRS = Process(
    ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", "24:onMode = off", "24:onIfAny = 1 2 3 4 5"), FLAVOURS
)
QCD = (
    Process(("HardQCD:all = on", *_FLATTER), (LIGHT,)),
    Process(("HardQCD:hardccbar = on", *_FLATTER), (CHARM,)),
    Process(("HardQCD:hardbbbar = on", *_FLATTER), (BEAUTY,)),
)


def simulate(
    directory: Path, events: int, seed: int = 1, workers: int = 1, progress: Progress | None = None
) -> list[Path]:
    """Write files of Pythia's jets; `events` jets of each flavour. See `ndive_files.write_files`.

    Raises:
        UsageError: Pythia is not installed.
    """
    _pythia()
    return ndive_files.write_files(__name__, directory, events, seed, workers, progress)


def make_sample(jets: int, rng: np.random.Generator) -> TruthJets:
    """As many jets of each flavour, half of them from top pairs."""
    parts = [_collect(TOP_PAIRS, jets // 2, 0, rng)]
    for process in QCD:
        parts.append(_collect(process, jets - jets // 2, int(parts[-1].event.max(initial=0)) + 1, rng))
    return TruthJets.join(parts)


def _collect(process: Process, jets: int, first: int, rng: np.random.Generator) -> TruthJets:
    """So many jets of each flavour of a process, the first that come; events are numbered from `first`."""
    missing = {(flavour, place): count for flavour in process.flavours for place, count in enumerate(_shares(jets))}
    parts: list[TruthJets] = []
    batches = _batches(process, first, int(rng.integers(1, _LARGEST_SEED)))
    while not parts or any(missing.values()):
        found = next(batches)
        places = np.digitize(found.pt, EDGES[1:-1])
        taken = []
        for (flavour, place), count in missing.items():
            chosen = np.flatnonzero((found.flavour == flavour) & (places == place))[:count]
            missing[flavour, place] -= len(chosen)
            taken.append(chosen)
        parts.append(found.take(np.sort(np.concatenate(taken))))
    return TruthJets.join(parts)


def _shares(jets: int) -> list[int]:
    """Jets in each range of transverse momentum."""
    ends = np.rint(jets * np.cumsum(SHARES)).astype(int)
    return [int(count) for count in np.diff(ends, prepend=0)]


def _batches(process: Process, first: int, seed: int) -> Iterator[TruthJets]:
    """Jets of one batch of events after the other, without end."""
    generator = _pythia()("", False)
    for line in (*_COMMON, f"Random:seed = {seed}", *process.settings):
        generator.readString(line)
    generator.init()
    while True:
        found = make_jets(read_batch(generator.nextBatch(EVENTS_A_BATCH)))
        yield replace(found, event=found.event + first)
        first += EVENTS_A_BATCH


def _pythia() -> Any:
    """Pythia's class.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from pythia8mc import Pythia
    except ImportError as error:
        message = "Pythia 8 is not installed here: pip install 'engine[simulate]' adds it"
        raise UsageError(message) from error
    return Pythia
