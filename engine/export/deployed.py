"""The network as it is deployed: raw fields in, scores out, with everything between them in one module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.export.front import Front
from engine.export.predict import prediction_layout
from engine.export.raw import RawInputs, raw_inputs
from engine.export.scoring import contract_transforms
from engine.spec.layouts import base_or_name

if TYPE_CHECKING:
    from engine.graph.network import Network
    from engine.spec.experiment import Experiment


class Deployed(nn.Module):
    """Takes the tensors of `RawInputs.names` in their order, and gives the named outputs in theirs."""

    def __init__(self, front: Front, network: Network, raw: RawInputs, outputs: Sequence[str]) -> None:
        super().__init__()
        self.front, self.network = front, network
        self.raw, self.outputs = raw, tuple(outputs)
        self.eval()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Scores, each of shape (rows, values)."""
        inputs, masks = self.front(dict(zip(self.raw.names, tensors, strict=True)))
        values = self.network(inputs, masks, self.outputs)
        return tuple(values[name] for name in self.outputs)


def deployed_network(
    experiment: Experiment, network: Network, outputs: Sequence[str], contract: Mapping[str, Any]
) -> tuple[Deployed, RawInputs]:
    """The network with everything that turns raw fields into its inputs."""
    data = experiment.data
    predict, layout = prediction_layout(data)
    raw = raw_inputs(data, layout, base_or_name(layout, predict.rows.of))
    front = Front(data, layout, raw, contract_transforms(contract, data))
    return Deployed(front, network, raw, outputs), raw


def rehearse(experiment: Experiment, network: Network, outputs: Sequence[str], contract: Mapping[str, Any]) -> None:
    """Run what would be exported once, on random rows and before the training, in milliseconds.

    Args:
        experiment: with exporters, or nothing is done.
        network: with any weights, on the CPU.
        outputs: the nodes that a file gives unless its options name others.
        contract: how the features are transformed.

    Raises:
        ExportError: an input cannot be computed from padded tensors.
    """
    for exporter in experiment.export:
        deployed, raw = deployed_network(experiment, network, exporter.options["outputs"] or outputs, contract)
        tensors = random_rows(raw, 2, 3)
        with torch.no_grad():
            deployed(*(tensors[name] for name in raw.names))


def random_rows(raw: RawInputs, rows: int = 64, objects: int = 50) -> dict[str, Tensor]:
    """Raw tensors of random numbers, with random numbers of objects."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name, fields in raw.objects.items():
        counts = torch.randint(0, objects + 1, (rows, 1), generator=generator)
        if name in raw.texts:
            vocabulary = raw.texts[name].vocabulary
            most = vocabulary.size if vocabulary is not None else 1
            tensors[name] = torch.randint(0, most, (rows, objects, 1), generator=generator).float()
        elif fields:
            tensors[name] = torch.randn(rows, objects, len(fields), generator=generator)
        tensors[f"{name}_mask"] = torch.arange(objects) < counts
    if raw.row:
        tensors["row"] = torch.randn(rows, len(raw.row), generator=generator)
    return tensors
