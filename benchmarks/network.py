"""The CalRatio network as built from YAML against a literal port of the original's layers, both measured in this run.

The port does what the original's Keras layers say: convolutions of width 1 on (batch, features, objects) with the
transposes that this needs, torch's own dropout, an LSTM. Same sizes, same loss, same optimizer; one training step on
one thread, batch 512. The steps of the two alternate, and the ratio is that of the medians.

    python benchmarks/network.py [--steps 60]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.graph.network import build_network
from engine.graph.plan import Plan, input_types, plan_network
from engine.memory import keep_freed_memory
from engine.spec.load import load_experiment

SPEC = Path(__file__).resolve().parent.parent / "specs" / "calratio.yaml"
BATCH = 512
WANTED = 1.3


class Branch(nn.Module):
    """Convolutions of width 1 with ReLU, dropout after all but the first, an LSTM's last state, dropout."""

    def __init__(self, features: int, filters: list[int], units: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, width in enumerate(filters):
            layers += [nn.Conv1d(features, width, 1), nn.ReLU()] + ([nn.Dropout(0.2)] if i else [])
            features = width
        self.convolutions = nn.Sequential(*layers)
        self.lstm = nn.LSTM(features, units, batch_first=True)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x_BNF: Tensor) -> Tensor:
        y_BFN = self.convolutions(x_BNF.transpose(1, 2))
        states, _ = self.lstm(y_BFN.transpose(1, 2))
        result: Tensor = self.dropout(states[:, -1])
        return result


class Port(nn.Module):
    """The original's classification network."""

    def __init__(self) -> None:
        super().__init__()
        self.clusters = Branch(12, [64, 32, 32, 16], 10)
        self.tracks = Branch(10, [64, 32, 32, 16], 10)
        self.segments = Branch(6, [32, 16, 8], 5)
        self.head = nn.Sequential(
            nn.Linear(28, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 64),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(64, 3),
        )

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        parts = [self.clusters(x["clusters"]), self.tracks(x["tracks"]), self.segments(x["segments"]), x["jet"]]
        result: Tensor = self.head(torch.cat(parts, dim=1))
        return result


def make_step(module: nn.Module, forward: Callable[[], Tensor], labels: Tensor) -> Callable[[], None]:
    """One training step."""
    optimizer = torch.optim.NAdam([each for each in module.parameters() if each.requires_grad], lr=8e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(nn.functional.cross_entropy(forward(), labels))
        optimizer.step()

    return step


def plan_classifier() -> Plan:
    """The network of the spec without the adversary, which the port has not got either."""
    experiment = load_experiment(SPEC)
    graph = {name: node for name, node in experiment.model.graph.items() if name != "is_data"}
    model = type(experiment.model)(graph, experiment.model.blocks)
    return plan_network(model, input_types(experiment.data), experiment.conventions)


def measure(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median time of each step in milliseconds; the steps alternate."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(rounds + 5):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i >= 5:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    plan = plan_classifier()
    network, port = build_network(plan, seed=1).train(), Port().train()
    inputs = {name: torch.randn(BATCH, *value.shape) for name, value in plan.inputs.items()}
    masks = {
        name: torch.ones(BATCH, *value.objects, dtype=torch.bool) for name, value in plan.inputs.items() if value.masked
    }
    labels = torch.randint(0, 3, (BATCH,))
    name = "jet_class.logits"
    medians = measure(
        {
            "literal port": make_step(port, lambda: port(inputs), labels),
            "from YAML": make_step(network, lambda: network(inputs, masks, [name])[name], labels),
        },
        options.steps,
    )
    for each, median in medians.items():
        print(f"{each:>13}: {median:6.1f} ms a step, {BATCH / median:5.1f} k jets/s")
    ratio = medians["literal port"] / medians["from YAML"]
    print(f"        ratio: {ratio:.2f} (wanted: at least {WANTED})")
    if ratio < WANTED:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
