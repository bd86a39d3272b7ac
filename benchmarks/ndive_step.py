"""One training step of NDIVE and of the flavour tagger with it, per jet on one core, and what its parts take of it.

Times are those of the processor, so that other programs on the machine count less; the fastest of `--repeats` passes
over `--steps` batches is told. A step is what the training loop does: forward, losses, backward, optimizer. The parts:
each node alone, forward and backward with inputs that are cut off from the rest; losses with their gradients;
optimizer. `rest` is what the whole step takes beyond them. The published code (JAX, float64) takes 4203 us a jet for
the tagger with NDIVE and 651 us for NDIVE alone, for forward and backward without the optimizer, on one core in batches
of 100.

    python benchmarks/ndive_step.py [--batches 100 256] [--steps 20] [--repeats 5] [--jets 2000]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from engine.data.loader import Batch
from engine.data.prepare import prepare
from engine.data.store import PreparedDataset
from engine.graph.network import Network
from engine.graph.packing import Item, Objects, pack, padded
from engine.graph.plan import input_types, plan_network
from engine.memory import keep_freed_memory
from engine.progress import Progress
from engine.runs import RunDirectory
from engine.simulate.ndive_toy import simulate
from engine.spec.load import load_experiment
from engine.training.session import assemble
from engine.training.streams import device_batches
from engine.training.updates import Update, compute_losses

SPECS = Path(__file__).resolve().parent.parent / "specs"
PUBLISHED = {"ndive": (651.0, 6.0), "ndive_ftag": (4203.0, 8.0)}
"""Microseconds a jet, and how many times faster is wanted."""


def fastest(action: Callable[[], object], repeats: int) -> float:
    """Seconds of the processor for one call."""
    action()
    seconds = []
    for _ in range(repeats):
        begin = time.thread_time()
        action()
        seconds.append(time.thread_time() - begin)
    return min(seconds)


def parts(network: Network, update: Update, batches: list[Batch], repeats: int) -> dict[str, float]:
    """Seconds for all batches: of each node, of the losses, of the optimizer."""
    batch = batches[0]
    outputs = [objective.output for objective in update.objectives.values()]
    known = network.all_values(pack({name: (x, batch.masks.get(name)) for name, x in batch.inputs.items()}), outputs)
    found = {}
    for name in network.orders[tuple(outputs)]:
        found[name] = fastest(partial(alone, network, name, known), repeats) * len(batches)
    made = {name: padded(known[name])[0] for name in outputs}

    def losses() -> None:
        leaves = {name: x.detach().requires_grad_(x.requires_grad) for name, x in made.items()}
        sum(objective.mean(leaves, batch) for objective in update.objectives.values()).backward()  # type: ignore[union-attr]

    found["losses"] = fastest(losses, repeats) * len(batches)
    sum(compute_losses(network, update.objectives, {"jets": batch}).values()).backward()  # type: ignore[union-attr]
    found["optimizer"] = fastest(update.optimizer.step, repeats) * len(batches)
    return found


def alone(network: Network, name: str, known: Mapping[str, Item]) -> None:
    """A node forward and backward, its inputs cut off from what made them."""
    node = network.nodes[name]
    items = node({key: cut(known[key]) for key in node.references}, next(iter(known.values()))).values()
    made = [x for item in items if (x := item.packed if isinstance(item, Objects) else item[0]).requires_grad]
    if made:
        torch.autograd.backward(made[:1], [torch.ones_like(made[0])])


def cut(item: Item) -> Item:
    """The same values, with gradients of their own."""
    if isinstance(item, Objects):
        x = item.packed
        return Objects(item.packing, x.detach().requires_grad_(), packed=True) if x.requires_grad else item
    return item[0].detach().requires_grad_(item[0].requires_grad), item[1]


def measure(spec: str, size: int, dataset: PreparedDataset, scratch: Path, options: argparse.Namespace) -> None:
    """Print a spec's step in batches of a size."""
    experiment = load_experiment(SPECS / f"{spec}.yaml", [f"training.streams.jets.batch={size}"])
    plan = plan_network(experiment.model, input_types(experiment.data), experiment.conventions)
    run, device = RunDirectory(scratch / "run"), torch.device("cpu")
    loop = assemble(experiment, plan, dataset, run, device, Progress(io.StringIO())).loop(-1)
    update = loop.updates[0]
    loop.network.train()
    update.activate()
    ahead = device_batches(dataset, list(loop.training.streams.values()), loop.seed, 0, device)
    with closing(ahead) as batches:
        some = [next(batches) for _ in range(options.steps)]
    whole = fastest(lambda: [update.step(batch) for batch in some], options.repeats)
    found = parts(loop.network, update, [batch["jets"] for batch in some], options.repeats)
    found["rest"] = whole - sum(found.values())
    jets, (published, wanted) = size * len(some), PUBLISHED[spec]
    total = 1e6 * whole / jets
    print(
        f"{spec}, batch {size}: {total:.0f} us a jet, {published / total:.1f} times faster than published "
        f"(wanted: {wanted:g})"
    )
    for name, seconds in found.items():
        print(f"    {name:18} {1e6 * seconds / jets:7.1f} us {100 * seconds / whole:5.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 256])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jets", type=int, default=2000, help="of each flavour, of the toy")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        simulate(scratch / "data", options.jets, seed=1, workers=1)
        files = f"data.samples.jets.files=[{scratch}/data/*.root]"
        dataset = prepare(load_experiment(SPECS / "ndive.yaml", [files]).data, scratch / "prepared", workers=1)
        for spec in PUBLISHED:
            for size in options.batches:
                measure(spec, size, dataset, scratch, options)


if __name__ == "__main__":
    main()
