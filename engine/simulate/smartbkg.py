"""Stand-in files for the network that saves detector simulation: Upsilon(4S) decays in the layout of its training data.

`train_events` has a row a particle, with the index (label, evtNum, arrayIndex); `decay_strings` a row an event, with
the label and the decay as text: ` PDG (--> daughters <--)`. Not imitated: B mixing, charmless and rare decays, angular
distributions, and the photons of the beams.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.data.columns import Array
from engine.simulate.decay_trees import PRIMARY, Particles, charges, make_trees
from engine.simulate.pandas_writer import Index, PandasWriter
from engine.simulate.tagging import passes

if TYPE_CHECKING:
    from engine.progress import Progress

EVENTS_A_FILE = 20_000
EVENTS_A_BLOCK = 10_000


def simulate(directory: Path, events: int, seed: int, workers: int, progress: Progress | None = None) -> list[Path]:
    """Write files with that many events together.

    Args:
        directory: where they go.
        events: in all files.
        seed: the same one gives the same events.
        workers: processes.
        progress: told about each file.

    Returns:
        The paths.
    """
    count = max(1, -(-events // EVENTS_A_FILE))
    edges = [events * number // count for number in range(count + 1)]
    jobs = [
        (directory / f"smartbkg_{number:03d}.h5", edges[number], edges[number + 1], seed) for number in range(count)
    ]
    with progress.task("simulating", total=len(jobs), unit="files") if progress else nullcontext() as task:
        for _ in _run(jobs, workers):
            if task is not None:
                task.advance()
    return sorted(job[0] for job in jobs)


def _run(jobs: list[tuple[Path, int, int, int]], workers: int) -> Iterator[Path]:
    if workers <= 1 or len(jobs) == 1:
        yield from (write_file(*job) for job in jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(write_file, *job) for job in jobs]):
            yield future.result()


def write_file(path: Path, start: int, stop: int, seed: int) -> Path:
    """Write events number start + 1 to stop."""
    tables: list[dict[str, Array]] = []
    labels: list[Array] = []
    texts: list[str] = []
    for first in range(start, max(stop, start + 1), EVENTS_A_BLOCK):
        rng = np.random.default_rng([seed, first])
        count = min(EVENTS_A_BLOCK, stop - first)
        particles = make_trees(count, rng)
        labels.append(passes(particles, count, rng))
        texts += decay_strings(particles, count)
        tables.append({"event": particles.event + (first - start)} | _columns(particles))
    table = {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}
    label, number = np.concatenate(labels), np.arange(start + 1, stop + 1)
    event, place = table.pop("event"), table.pop("arrayIndex")
    with PandasWriter(path) as writer:
        levels = [
            Index("label", np.array([False, True]), label[event].astype(np.int64)),
            Index("evtNum", number, event),
            Index("arrayIndex", np.arange(1, place.max(initial=0) + 1), place - 1),
        ]
        writer.write("train_events", levels, table)
        strings = np.empty(len(texts), dtype=object)
        strings[:] = texts
        writer.write("decay_strings", [Index("evtNum", number)], {"label": label, "decay_str": strings})
    return path


def decay_strings(particles: Particles, events: int) -> list[str]:
    """The decay of each event as text, from its first particle on; radiated photons are left out."""
    codes, mothers, status = particles.code.tolist(), particles.mother.tolist(), particles.status.tolist()
    below: list[list[str]] = [[] for _ in codes]
    texts = [""] * events
    for number in range(len(codes) - 1, -1, -1):  # daughters stand behind their mothers
        inner = below[number]
        text = f" {codes[number]} (-->{''.join(reversed(inner))} <--)" if inner else f" {codes[number]}"
        mother = mothers[number]
        if mother < 0:
            texts[int(particles.event[number])] = text
        elif status[number] == PRIMARY:
            below[mother].append(text)
    return texts


def _columns(particles: Particles) -> dict[str, Array]:
    """The columns of the particle table in its order; numbers within an event are counted from 1, 0 is no mother."""
    first = np.searchsorted(particles.event, particles.event)
    mother = particles.mother
    has_mother = mother >= 0
    daughters = np.bincount(mother[has_mother], minlength=len(particles))
    kinematics = {name: particles.momentum[:, 1 + axis] for axis, name in enumerate(("px", "py", "pz"))}
    return {
        "PDG": particles.code,
        "mass": particles.mass,
        "charge": charges(particles.code),
        "energy": particles.momentum[:, 0],
        "prodTime": particles.vertex[:, 0],
        **{name: particles.vertex[:, 1 + axis] for axis, name in enumerate(("x", "y", "z"))},
        **kinematics,
        "nDaughters": daughters,
        "status": particles.status,
        "motherPDG": np.where(has_mother, particles.code[mother], 0),
        "motherIndex": np.where(has_mother, mother - first + 1, 0),
        "arrayIndex": np.arange(len(particles)) - first + 1,
    }
