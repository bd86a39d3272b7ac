"""Stand-in ntuples for the displaced-jet experiment, in the layout of the real ones (tree trees_DV_).

Branch names and types are those of the real files, std::vector and std::vector<std::vector<int>> included (see
`root_writer`). Brought near to public signal and data files in mean, spread and range: jets an event and their pT,
clusters a jet and their pT, distance, layer fractions (some layers below zero, as noise makes them) and times, tracks
in and outside of jets with their pT, d0, z0, hits and fit quality, segments in and outside of jets (fewer than there).
Jets are sorted by pT, clusters grouped by jet, tracks and segments in no order, as there. Not imitated: correlations
beyond those named in the modules of this room, the 1e5 that a few segment times carry as a mark, and the 250 branches
that the experiment does not read. More decays than in reality are in the calorimeters: few events make enough rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.data.columns import Column, Jagged
from engine.simulate.clusters import SIMULATION, Calibration, make_clusters
from engine.simulate.decays import LongLived, decay_jets, long_lived
from engine.simulate.jets_of_events import BEAM, EventJets, beam_jet, dijets, join, soft_jets, wrap
from engine.simulate.root_writer import RootWriter
from engine.simulate.segments import make_segments
from engine.simulate.tracks import make_tracks

if TYPE_CHECKING:
    from engine.progress import Progress

TREE = "trees_DV_"
EVENTS_A_FILE = 20_000
EVENTS_A_BLOCK = 500
_SLICES = np.array([20.0, 60.0, 160.0, 400.0, 800.0])  # GeV, edges of the samples that multijets are generated in
_DATA = Calibration(time=0.6, presampler=0.9, hadronic=1.07)
_MORE_TRACKS = 1.15  # in data, against simulation

Branches = dict[str, Column]
Maker = Callable[[int, np.random.Generator], tuple[EventJets, Branches]]


@dataclass(frozen=True)
class Kind:
    """One kind of file: how its events are made, and whether they are data."""

    run: int
    make: Maker
    data: bool = False
    calibration: Calibration = SIMULATION
    excess_tracks: float = 1.0


def _signal(boson: float, scalar: float, lifetime: float) -> Maker:
    """Two long-lived particles an event among soft jets."""

    def make(events: int, rng: np.random.Generator) -> tuple[EventJets, Branches]:
        particles = long_lived(events, boson, scalar, lifetime, rng)
        jets = join(events, soft_jets(events, 5.5, rng), decay_jets(particles, rng))
        return jets, {"mcEventWeight": np.full(events, 2.9e-8, dtype=np.float32)} | _llps(particles, events)

    return make


def _llps(particles: LongLived, events: int) -> Branches:
    """Branches of the long-lived particles."""
    two = np.full(events, 2)
    columns = {
        "llp_pT": particles.pt,
        "llp_eta": particles.eta,
        "llp_phi": particles.phi,
        "llp_Lxy": particles.transverse,
        "llp_Lz": particles.longitudinal,
    }
    return {name: Jagged.from_counts(two, values) for name, values in columns.items()}


def _multijets(events: int, rng: np.random.Generator) -> tuple[EventJets, Branches]:
    """Dijets generated in slices of pT, equally many in each; the weights make one falling spectrum of them."""
    slices = rng.integers(0, len(_SLICES) - 1, events)
    low, high = _SLICES[slices], _SLICES[slices + 1]
    jets = join(events, soft_jets(events, 5.0, rng), dijets(events, low, high, rng))
    weight = (low**-4.0 - high**-4.0) / (_SLICES[1] ** -4.0) * rng.lognormal(0.0, 0.2, events)
    return jets, {"mcEventWeight": weight.astype(np.float32)}


def _control_data(events: int, rng: np.random.Generator) -> tuple[EventJets, Branches]:
    """Dijets as the detector records them: one spectrum, no weights."""
    low, high = np.full(events, 45.0), np.full(events, 800.0)
    return join(events, soft_jets(events, 5.0, rng), dijets(events, low, high, rng)), {}


def _control_simulation(events: int, rng: np.random.Generator) -> tuple[EventJets, Branches]:
    """The same selection of simulated events, with weights of the order of one."""
    jets, _ = _control_data(events, rng)
    return jets, {"mcEventWeight": rng.gamma(4.0, 0.25, events).astype(np.float32)}


def _halo(events: int, rng: np.random.Generator) -> tuple[EventJets, Branches]:
    """A halo jet among soft jets, and the trigger's jet: mostly that one, tagged as halo; else another or none."""
    jets = join(events, soft_jets(events, 6.0, rng), beam_jet(events, rng))
    beam = np.flatnonzero(jets.origin == BEAM)
    first = np.cumsum(jets.counts) - jets.counts
    tagged = rng.uniform(size=events) < 0.85
    source = np.where(tagged, beam, first)
    fired = np.flatnonzero(rng.uniform(size=events) < 0.95)
    counts = np.bincount(fired, minlength=events)
    source, flag = source[fired], tagged[fired].astype(np.int32)
    size = len(fired)
    columns = {
        "HLT_jet_pT": jets.pt[source] * rng.normal(1.0, 0.05, size),
        "HLT_jet_eta": jets.eta[source] + rng.normal(0, 0.02, size),
        "HLT_jet_phi": wrap(jets.phi[source] + rng.normal(0, 0.02, size)),
        "HLT_jet_isBIB": flag,
    }
    return jets, {name: Jagged.from_counts(counts, values) for name, values in columns.items()}


KINDS: dict[str, Kind] = {
    "signal_125_55": Kind(311314, _signal(125.0, 55.0, 1.5)),
    "signal_600_150": Kind(311424, _signal(600.0, 150.0, 1.7)),
    "qcd": Kind(361023, _multijets),
    "bib": Kind(363710, _halo, data=True, calibration=_DATA, excess_tracks=_MORE_TRACKS),
    "control_mc": Kind(361024, _control_simulation),
    "control_data": Kind(304178, _control_data, data=True, calibration=_DATA, excess_tracks=_MORE_TRACKS),
}


def simulate(
    directory: Path, events: int, seed: int = 1, workers: int = 1, progress: Progress | None = None
) -> list[Path]:
    """Write files of every kind; the same seed gives the same bytes, whatever the number of workers.

    Args:
        directory: created where it does not exist; files of the same name are replaced.
        events: events of each kind; beyond 20,000 they go to several files.
        seed: of all random numbers.
        workers: processes, one file each at a time.
        progress: where it is told how far the work is.

    Returns:
        The files, sorted.
    """
    directory.mkdir(parents=True, exist_ok=True)
    jobs = [(directory / name, kind, count, seed) for kind in KINDS for name, count in _files(kind, events)]
    with progress.task("simulating", total=len(jobs), unit="files") if progress else nullcontext() as task:
        for _ in _run(jobs, workers):
            if task is not None:
                task.advance()
    return sorted(job[0] for job in jobs)


def _run(jobs: list[tuple[Path, str, int, int]], workers: int) -> Iterator[Path]:
    """Write all files, in this process or in several; gives each when it is complete."""
    if workers <= 1:
        yield from (write_file(*job) for job in jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(write_file, *job) for job in jobs]):
            yield future.result()


def _files(kind: str, events: int) -> list[tuple[str, int]]:
    """Names and events of the files of one kind."""
    if events <= EVENTS_A_FILE:
        return [(f"{kind}.root", events)]
    count = -(-events // EVENTS_A_FILE)
    edges = [events * number // count for number in range(count + 1)]
    return [(f"{kind}_{number:03d}.root", edges[number + 1] - edges[number]) for number in range(count)]


def write_file(path: Path, kind: str, events: int, seed: int) -> Path:
    """Write one file of a kind, a block of events at a time."""
    name = zlib.crc32(path.name.encode())
    with RootWriter(path, TREE) as writer:
        for number, start in enumerate(range(0, max(events, 1), EVENTS_A_BLOCK)):
            rng = np.random.default_rng([seed, name, number])
            writer.fill(make_events(KINDS[kind], min(EVENTS_A_BLOCK, events - start), start, rng))
    return path


def make_events(kind: Kind, events: int, start: int, rng: np.random.Generator) -> Branches:
    """All branches of a block of events.

    Args:
        kind: what the events are.
        events: how many.
        start: number of the first event in its file.
        rng: where randomness comes from.
    """
    jets, more = kind.make(events, rng)
    branches: Branches = {
        "runNumber": np.full(events, kind.run, dtype=np.uint32),
        "eventNumber": (100_000 + 7 * (start + np.arange(events)) + rng.integers(0, 7, events)).astype(np.uint64),
        "jet_pT": jets.jagged(jets.pt),
        "jet_eta": jets.jagged(jets.eta),
        "jet_phi": jets.jagged(jets.phi),
        "jet_isClean_LooseBadLLP": jets.jagged((rng.uniform(size=len(jets.pt)) < 0.98).astype(np.int8)),
        "nn_jet_index": jets.jagged(jets.index.astype(np.int32)),
    }
    branches |= make_clusters(jets, kind.calibration, rng)
    branches |= make_tracks(jets, kind.excess_tracks, rng)
    branches |= make_segments(jets, rng) | more
    return {name: _single_precision(column) for name, column in branches.items()}


def _single_precision(column: Column) -> Column:
    """Doubles with the digits of floats, which is what the detector's software keeps, and half the size in the file."""
    if isinstance(column, Jagged):
        return Jagged(column.offsets, _single_precision(column.values))
    return column.astype(np.float32).astype(np.float64) if column.dtype == np.float64 else column
