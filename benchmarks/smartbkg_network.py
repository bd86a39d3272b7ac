"""The smartBKG network (CNN_ResNet) as built from YAML against the same layers written directly in torch.

The port is written as one would write it: torch's convolutions and normalisations on (batch, features, objects). Same
sizes, same loss, same optimizer (Adam with amsgrad); one training step on one thread, batch 128. The steps of the two
alternate, the ratio is that of the medians, and samples are counted per second of processor time.

    python benchmarks/smartbkg_network.py [--steps 30] [--bf16]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.graph.network import Network, build_network
from engine.graph.plan import input_types, plan_network
from engine.memory import keep_freed_memory
from engine.spec.load import load_experiment

SPEC = Path(__file__).resolve().parent.parent / "specs" / "smartbkg.yaml"
BATCH = 128
KERAS = 341.0
"""Samples per second of processor time of the original on Keras, measured on another day."""
WANTED = 1.7
SLOPE = 0.3


class Convolution(nn.Module):
    """Convolution with zeros at the ends, of which an even kernel has one more behind; normalised, leaky."""

    def __init__(self, features: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.convolution = nn.Conv1d(features, filters, kernel, bias=False)
        self.normalisation = nn.BatchNorm1d(filters, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(functional.pad(x, ((self.kernel - 1) // 2, self.kernel // 2)))
        return functional.leaky_relu(self.normalisation(x), SLOPE)


class Residual(nn.Module):
    """x + conv(node(node(x)))."""

    def __init__(self, features: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.nodes = nn.Sequential(Convolution(features, filters, kernel), Convolution(filters, features, kernel))
        self.last = nn.Conv1d(features, features, kernel)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.pad(self.nodes(x), ((self.kernel - 1) // 2, self.kernel // 2))
        result: Tensor = x + self.last(y)
        return result


class Port(nn.Module):
    """The whole network; gives the value before the sigmoid."""

    def __init__(self, codes: int, dropout: bool = True) -> None:
        super().__init__()
        rates = (0.2, 0.4) if dropout else (0.0, 0.0)
        self.tokens, self.codes = nn.Embedding(codes, 8), nn.Embedding(codes, 8)
        self.wide = nn.ModuleList(Convolution(8, 64, kernel) for kernel in range(4, 10))
        leaky = nn.LeakyReLU(SLOPE)
        self.decay = nn.Sequential(nn.Linear(384, 128), leaky, nn.Dropout(rates[0]), nn.Linear(128, 32), leaky)
        self.residual = nn.Sequential(*(Residual(29, 64, kernel) for kernel in (4, 3, 3, 3)))
        self.head = nn.Sequential(
            nn.Linear(61, 256), leaky, nn.Dropout(rates[1]), nn.Linear(256, 128), leaky, nn.Linear(128, 1)
        )

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        tokens = self.tokens(x["decay"][..., 0].long()).transpose(1, 2)
        decay = self.decay(torch.cat([layer(tokens).mean(2) for layer in self.wide], dim=1))
        codes = [self.codes(x[name][..., 0].long()) for name in ("pdg", "mother_pdg")]
        particles = torch.cat([x["particles"], x["charge"], *codes], dim=2).transpose(1, 2)
        result: Tensor = self.head(torch.cat([decay, self.residual(particles).mean(2)], dim=1))
        return result


def make_batch(network: Network, rows: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Random inputs with padding behind, as the loader makes them, and their masks."""
    generator = torch.Generator().manual_seed(1)
    inputs, masks = {}, {}
    particles = torch.randint(20, 101, (rows, 1), generator=generator)
    for name, kind in network.plan.inputs.items():
        count = torch.randint(10, 151, (rows, 1), generator=generator) if name == "decay" else particles
        masks[name] = torch.arange(kind.objects[0]) < count
        x = torch.rand(rows, *kind.shape, generator=generator)
        if kind.vocabulary:
            x = torch.randint(1, kind.vocabulary, x.shape, generator=generator).float()
        inputs[name] = x * masks[name].unsqueeze(-1)
    return inputs, masks


def make_step(module: nn.Module, forward: Callable[[], Tensor], labels: Tensor, half: bool) -> Callable[[], None]:
    """One training step."""
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-4, amsgrad=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = forward()
        torch.autograd.backward(functional.binary_cross_entropy_with_logits(logits.float(), labels))
        optimizer.step()

    return step


def measure(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median processor time of each step in seconds; the steps alternate."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(rounds + 3):
        for name, step in steps.items():
            start = time.process_time()
            step()
            if i >= 3:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--bf16", action="store_true", help="mixed precision for both")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    experiment = load_experiment(SPEC)
    network = build_network(plan_network(experiment.model, input_types(experiment.data), experiment.conventions), 1)
    port = Port(network.plan.inputs["pdg"].vocabulary or 1)
    inputs, masks = make_batch(network.train(), BATCH)
    labels = torch.randint(0, 2, (BATCH, 1)).float()
    name = "passes.logits"
    medians = measure(
        {
            "port": make_step(port.train(), lambda: port(inputs), labels, options.bf16),
            "from YAML": make_step(network, lambda: network(inputs, masks, [name])[name], labels, options.bf16),
        },
        options.steps,
    )
    for each, median in medians.items():
        print(f"{each:>10}: {1e3 * median:6.1f} ms a step, {BATCH / median:5.0f} samples per second of processor time")
    ratio = medians["port"] / medians["from YAML"]
    rate = BATCH / medians["from YAML"]
    print(f"     ratio: {ratio:.2f} (wanted: at least 1), {rate / KERAS:.2f} of Keras (wanted: at least {WANTED})")
    if ratio < 1 or rate < WANTED * KERAS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
