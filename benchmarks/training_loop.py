"""The training loop against one written by hand for the same network, over tensors in memory; both in this run.

Both train the CalRatio network and its adversary: two steps of the adversary, then one of everything else, batches of
512 rows, Nadam. The hand-written loop holds all rows as tensors, picks random rows of them, and does nothing else; the
engine's reads the prepared dataset through its loader, adds up and logs losses, shows progress, follows schedules and
watches for signals and for losses that are not finite. Segments of the two alternate; the ratio of each pair is taken
and the median of the ratios told. The time of the thread counts what the loop itself costs where other programs share
the machine; the time of the process counts the loader's thread too.

    python benchmarks/training_loop.py [--segments 12] [--iterations 8] [--prepared DIRECTORY]
"""

from __future__ import annotations

import argparse
import copy
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.data.loader import sequential
from engine.data.prepare import prepare
from engine.data.store import PreparedDataset
from engine.graph.network import Network
from engine.graph.plan import input_types, plan_network
from engine.memory import keep_freed_memory
from engine.progress import Progress
from engine.runs import RunDirectory
from engine.spec.load import load_experiment
from engine.spec.sections import LossSpec
from engine.training.board import TensorBoard
from engine.training.interrupt import StopRequest
from engine.training.logs import MetricsLog
from engine.training.loop import Loop
from engine.training.session import assemble
from engine.training.streams import device_batches

SPEC = Path(__file__).resolve().parent.parent / "specs" / "calratio.yaml"
MOST = 1.03
CLOCKS: dict[str, Callable[[], float]] = {
    "wall": time.perf_counter,
    "thread": time.thread_time,
    "process": time.process_time,
}


class ByHand:
    """What a physicist writes: tensors, two optimizers, one function a step."""

    def __init__(self, network: Network, main: dict[str, Tensor], control: dict[str, Tensor], batch: int) -> None:
        self.network, self.main, self.control, self.batch = network, main, control, batch
        self.adversary = [parameter for name, parameter in network.named_parameters() if name.startswith("is_data.")]
        self.rest = [parameter for name, parameter in network.named_parameters() if not name.startswith("is_data.")]
        self.adversary_optimizer = torch.optim.NAdam(self.adversary, lr=8e-4, eps=1e-7, momentum_decay=1.0)
        self.optimizer = torch.optim.NAdam(self.rest, lr=8e-4, eps=1e-7, momentum_decay=1.0)
        self.norms = [module for module in network.modules() if hasattr(module, "running_mean")]

    def rows(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        chosen = torch.randint(len(tensors["weight"]), (self.batch,))
        return {name: tensor[chosen] for name, tensor in tensors.items()}

    def output(self, rows: dict[str, Tensor], name: str) -> Tensor:
        masks = {key.removeprefix("mask:"): value for key, value in rows.items() if key.startswith("mask:")}
        inputs = {key.removeprefix("input:"): value for key, value in rows.items() if key.startswith("input:")}
        result: Tensor = self.network(inputs, masks, [name])[name]
        return result

    def confusion(self, rows: dict[str, Tensor]) -> Tensor:
        logit = self.output(rows, "is_data.logits")[:, 0]
        return functional.binary_cross_entropy_with_logits(logit, rows["target"].float(), rows["weight"])

    def tagging(self, rows: dict[str, Tensor]) -> Tensor:
        logits = self.output(rows, "jet_class.logits")
        return (functional.cross_entropy(logits, rows["target"], reduction="none") * rows["weight"]).mean()

    def train(self, iterations: int) -> None:
        for _ in range(iterations):
            main, control = self.rows(self.main), self.rows(self.control)
            self.move(self.adversary)
            for _ in range(2):
                self.adversary_optimizer.zero_grad()
                self.confusion(control).backward()
                self.adversary_optimizer.step()
            self.move(self.rest)
            self.optimizer.zero_grad()
            loss = self.tagging(main) - 10 * self.confusion(control)
            loss.backward()
            self.optimizer.step()

    def move(self, parameters: list[nn.Parameter]) -> None:
        for each in self.network.parameters():
            each.requires_grad_(False)
        for each in parameters:
            each.requires_grad_(True)
        for norm in self.norms:
            norm.train(parameters is self.adversary)


def in_memory(dataset: PreparedDataset, samples: tuple[str, ...], loss: LossSpec) -> dict[str, Tensor]:
    """All training rows of some samples as tensors."""
    rows = len(dataset.rows(samples, "train"))
    (batch,) = sequential(dataset, samples, "train", rows)
    tensors = {f"input:{name}": tensor.clone() for name, tensor in batch.inputs.items()}
    tensors |= {f"mask:{name}": tensor.clone() for name, tensor in batch.masks.items()}
    return {
        **tensors,
        "target": batch.targets[loss.target].long(),
        "weight": batch.weights[loss.weight or "weight"].clone(),
    }


def measure(actions: dict[str, Callable[[], None]], segments: int) -> dict[str, list[dict[str, float]]]:
    """Seconds of each clock for each segment; the actions alternate, and who begins alternates too."""
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in actions}
    for number in range(segments + 1):
        for name in list(actions)[:: 1 if number % 2 else -1]:
            before = {clock: read() for clock, read in CLOCKS.items()}
            actions[name]()
            spent = {clock: read() - before[clock] for clock, read in CLOCKS.items()}
            if number:  # the first pair warms up
                seconds[name].append(spent)
    return seconds


def prepared(directory: Path | None, scratch: Path) -> PreparedDataset:
    """The prepared dataset of that directory, or one of simulated files."""
    if directory is not None:
        return PreparedDataset.open(directory)
    from engine.simulate.calratio import simulate

    simulate(scratch / "data" / "calratio", 3000, seed=1, workers=2)
    experiment = load_experiment(here(scratch))
    return prepare(experiment.data, scratch / "prepared", workers=2)


def here(scratch: Path) -> Path:
    """The spec with the paths of its files in the scratch directory."""
    path = scratch / "calratio.yaml"
    path.write_text(SPEC.read_text().replace("data/calratio/", f"{scratch}/data/calratio/"))
    return path


def engine_loop(dataset: PreparedDataset, scratch: Path, iterations: int) -> Loop:
    """The loop of the engine, whose epochs are the segments."""
    overrides = [f"training.steps_per_epoch={iterations}", "training.epochs=1000000"]
    experiment = load_experiment(SPEC, overrides)
    plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    run = RunDirectory(scratch / "run")
    return assemble(experiment, plan, dataset, run, torch.device("cpu"), Progress(io.StringIO())).loop(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=12)
    parser.add_argument("--iterations", type=int, default=8, help="iterations in a segment")
    parser.add_argument("--prepared", type=Path, help="a prepared dataset of specs/calratio.yaml; simulated if absent")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        dataset = prepared(options.prepared, scratch)
        loop = engine_loop(dataset, scratch, options.iterations)
        streams = loop.training.streams
        hand = ByHand(
            copy.deepcopy(loop.network).train(),
            in_memory(dataset, streams["main"].samples, loop.training.losses["tagging"]),
            in_memory(dataset, streams["control"].samples, loop.training.losses["confusion"]),
            streams["main"].batch,
        )
        loop.log = MetricsLog(scratch / "run" / "metrics.jsonl")
        loop.board = TensorBoard(scratch / "run" / "tensorboard", "", 0)
        ahead = device_batches(dataset, list(streams.values()), loop.seed, 0, loop.device)

        with closing(ahead) as batches, closing(loop.log), closing(loop.board), StopRequest() as stop:

            def of_engine() -> None:
                loop.train_epoch(batches, stop)
                loop.position.epoch += 1

            actions = {"engine": of_engine, "by hand": lambda: hand.train(options.iterations)}
            seconds = measure(actions, options.segments)
    report(seconds, options.iterations)


def report(seconds: dict[str, list[dict[str, float]]], iterations: int) -> None:
    for clock in CLOCKS:
        ours, theirs = ([each[clock] for each in seconds[name]] for name in ("engine", "by hand"))
        ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        medians = [1000 * statistics.median(each) / iterations for each in (ours, theirs)]
        print(
            f"{clock:8} engine {medians[0]:6.1f} ms, by hand {medians[1]:6.1f} ms an iteration; ratio "
            f"{statistics.median(ratios):.3f} (half of the pairs in {low:.3f} to {high:.3f}; wanted: at most {MOST})"
        )


if __name__ == "__main__":
    main()
