"""A small experiment with everything in it: objects, an adversary, dropout, batch normalisation, a schedule.

As a program it trains the experiment in child processes that are killed at random moments, and resumes it each time:
`python toy.py DIRECTORY KILLS SEED [KEY=VALUE ...]`.
"""

from __future__ import annotations

import importlib
import io
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.prepare import prepare
from engine.data.store import PreparedDataset
from engine.graph.plan import Plan, input_types, plan_network
from engine.progress import Progress
from engine.runs import RunDirectory
from engine.spec.experiment import Experiment
from engine.spec.load import load_experiment

PHASES = (
    "training.phases=[{name: alone, epochs: 2, freeze: [origin], updates: [{minimize: tagging, "
    "optimizer: {novograd: {lr: 1e-2}}}], validations_per_epoch: 3}, {name: against, epochs: 1}, "
    "{name: last, epochs: 2, steps_per_epoch: 6, streams: {main: {samples: [signal, background], batch: 25}}, "
    "best: null, updates: [{minimize: tagging, optimizer: {sgd: {lr: 1e-3, momentum: 0.5}}}]}]"
)
"""Phases that differ in all that a phase can say: three validations an epoch, an adversary, batches of another size."""

SPEC = """
name: toy
seed: 7
conventions: keras
data:
  format: parquet
  collections:
    event: {run: run, event: event, u: u, v: v, origin: origin, weight: weight}
    hits: {owner: implicit, x: hit_x, y: hit_y}
  samples:
    background: {files: [background.parquet], rows: event, label: background}
    signal: {files: [signal.parquet], rows: event, label: signal}
  inputs:
    hits: {of: hits, keep: 6, features: {x: {}, y: {scale: 0.5}}}
    event: {of: event, features: {u: {}, v: {clip: [-3, 3]}}}
  targets:
    label: {classes: [background, signal]}
    origin: {classes: {simulation: 0, data: 1}, expression: event.origin}
    size: {expression: "event.u + 2 * event.v"}
  columns: {run: event.run, event: event.event}
  split: {by: [run, event], train: 0.8, validation: 0.1, test: 0.1}
model:
  graph:
    pattern: {from: hits, layers: [dense: {units: 8, activation: relu, dropout: 0.2}, lstm: {units: 4, mask: ignore}]}
    class:
      from: [pattern, event]
      layers: [concat, dense: {units: 16, activation: relu, dropout: 0.2}, dense: {units: 2, activation: softmax}]
    origin:
      from: class
      layers: [batch_norm, dense: {units: 8, activation: tanh}, dense: {units: 1, activation: sigmoid}]
training:
  epochs: 3
  checkpoint_every: 5
  log_every: 4
  streams:
    main: {samples: [signal, background], batch: 40}
    control: {samples: [background], batch: 20}
  losses:
    tagging: {cross_entropy: {of: class, target: label, stream: main, weight: weight}}
    confusion: {binary_cross_entropy: {of: origin, target: origin, stream: control}}
  updates:
    - {minimize: confusion, parameters: [origin], optimizer: {adam: {lr: 5e-3}}, repeat: 2}
    - minimize: tagging - 0.1 * confusion
      parameters: {except: [origin]}
      optimizer: {nadam: {lr: 5e-3}}
      schedule: {cosine: {floor: 0.1, warmup: 5}}
      clip_norm: 1.0
  best: {metric: validation.tagging}
"""


def write_files(directory: Path, rows: int = 300) -> Path:
    """The files of the experiment and its spec; returns the path of the spec."""
    random = np.random.default_rng(11)
    for number, (name, shift) in enumerate((("background", 0.0), ("signal", 1.0))):
        counts = random.integers(0, 9, rows)
        hits = [random.normal(shift, 1.0, count) for count in counts]
        columns: dict[str, Any] = {
            "run": np.full(rows, number, np.int64),
            "event": np.arange(rows),
            "u": random.normal(shift, 1.0, rows),
            "v": random.normal(0.0, 2.0, rows),
            "origin": random.integers(0, 2, rows),
            "weight": random.uniform(0.5, 1.5, rows),
            "hit_x": hits,
            "hit_y": [random.normal(0.0, 1.0, count) for count in counts],
        }
        pq.write_table(pa.table({key: list(value) for key, value in columns.items()}), directory / f"{name}.parquet")
    spec = directory / "toy.yaml"
    spec.write_text(
        SPEC.replace(": [background.parquet]", f": [{directory}/background.parquet]").replace(
            ": [signal.parquet]", f": [{directory}/signal.parquet]"
        )
    )
    return spec


class Toy:
    """The experiment, planned and prepared."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spec = directory / "toy.yaml"
        if not self.spec.exists():
            write_files(directory)

    def load(self, overrides: Sequence[str] = ()) -> tuple[Experiment, Plan, PreparedDataset]:
        experiment = load_experiment(self.spec, overrides)
        plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
        return experiment, plan, prepare(experiment.data, self.directory / "prepared", workers=1)

    def train(
        self, name: str, overrides: Sequence[str] = (), resume: bool = False, told: io.StringIO | None = None
    ) -> Any:
        """Train in the run directory of that name; returns the summary."""
        from engine.training.train import train

        experiment, plan, dataset = self.load(overrides)
        run = self.run(name)
        return train(experiment, plan, dataset, run, "cpu", resume, Progress(told or io.StringIO()))

    def run(self, name: str) -> RunDirectory:
        return RunDirectory(self.directory / name)


def killed(toy: Toy, name: str, delay: float | None, overrides: Sequence[str]) -> int:
    """Train or resume in a child process that is killed after a delay; its exit code, -9 where it was killed."""
    child = os.fork()
    if child == 0:
        if delay is not None:
            threading.Thread(target=_kill_later, args=(delay,), daemon=True).start()
        try:
            toy.train(name, overrides, resume=True)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill_later(delay: float) -> None:
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)


def main(directory: str, kills: str, seed: str, *overrides: str) -> None:
    toy, chance = Toy(Path(directory)), random.Random(int(seed))
    toy.load()  # prepared and imported once; the children start from here
    for name in ("engine.training.train", "torch.utils.tensorboard"):
        importlib.import_module(name)
    begin = time.monotonic()
    if killed(toy, "undisturbed", None, overrides):
        sys.exit("the undisturbed training failed")
    duration = time.monotonic() - begin
    done, number = 0, 0
    while done < int(kills):
        code = killed(toy, f"killed-{number}", chance.uniform(0.0, duration), overrides)
        done += code == -signal.SIGKILL
        if code not in (0, -signal.SIGKILL):
            sys.exit(f"the training ended with {code}")
        number += code == 0  # it was over before it could be killed: the next kills are of another run
    if killed(toy, f"killed-{number}", None, overrides):
        sys.exit("the last resumed training failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
