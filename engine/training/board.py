"""TensorBoard: scalars, histograms, the graph, the spec, hyperparameters with the final metrics, the plots.

Nothing is imported or written before the first line of the log, so that the first training step does not wait for it.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.files import writing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from engine.data.loader import Batch
    from engine.spec.experiment import Experiment

LARGEST_SHOWN = 9e19
"""The bins of TensorBoard's histograms end just above it; what is larger stands in the last one."""
Scalars = Mapping[str, float | int | str]


class TensorBoard:
    """Writes the events of one training into one directory; where there is no room for them: StorageError."""

    def __init__(self, directory: Path, spec: str, start_step: int) -> None:
        """
        Args:
            directory: of the event files.
            spec: the resolved spec, shown as text.
            start_step: iterations done before (a resumed run's); older events of later iterations are hidden.
        """
        self.directory = directory
        self._spec = spec
        self._start_step = start_step
        self._writer: SummaryWriter | None = None
        if start_step == 0:
            for path in directory.glob("events.out.tfevents.*"):
                path.unlink()

    @property
    def writer(self) -> SummaryWriter:
        """The open writer; opened at the first use."""
        if self._writer is None:
            purge = self._start_step + 1 if self._start_step else None
            self._writer = open_writer(self.directory, purge)
            if not self._start_step:
                self._writer.add_text("spec", f"```yaml\n{self._spec}\n```", 0)
        return self._writer

    def scalars(self, record: Scalars, group: str | None = None) -> None:
        """Write a line of metrics.jsonl: `validation.tagging` is shown as `validation/tagging`.

        Args:
            record: the line.
            group: what stands in place of `train` for the lines of single iterations.
        """
        step = int(record["step"])
        with writing(self.directory):
            for key, value in record.items():
                if isinstance(value, float) and math.isfinite(value) and key not in ("seconds", "epoch"):
                    self.writer.add_scalar(tag_of(key, group), value, step)

    def phase(self, sentence: str, step: int) -> None:
        """Write which phase begins, as text at its first iteration."""
        with writing(self.directory):
            self.writer.add_text("phase", sentence, step)

    def histograms(self, parameters: Iterable[tuple[str, Tensor]], step: int) -> None:
        """Write the distributions of weights and of their last gradients."""
        with writing(self.directory):
            for name, parameter in parameters:
                for kind, values in (("weights", parameter.detach()), ("gradients", parameter.grad)):
                    if values is not None and bool(values.isfinite().all()):
                        shown = values.float().clamp(-LARGEST_SHOWN, LARGEST_SHOWN)
                        self.writer.add_histogram(f"{kind}/{name}", shown.cpu().numpy(), step)

    def graph(self, network: nn.Module, batch: Batch, outputs: Sequence[str]) -> bool:
        """Write the graph of the network as traced on a few rows; False where it cannot be traced."""
        wrapper, mode = _Tensors(network, batch, outputs).eval(), network.training
        quiet = contextlib.redirect_stdout(io.StringIO())  # the tracer tells its errors by printing them
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), quiet:
            warnings.simplefilter("ignore")
            try:
                # traced here: the writer would also compare two traces, which takes seconds
                traced = torch.jit.trace(wrapper, wrapper.example, check_trace=False)  # type: ignore[no-untyped-call]
                self.writer.add_graph(traced, wrapper.example)
            except Exception:  # whatever a block does that cannot be traced: the picture is not worth the training
                return False
            finally:
                network.train(mode)
        return True

    def flush(self) -> None:
        """Bring everything to the disk."""
        if self._writer is not None:
            with writing(self.directory):
                self._writer.flush()

    def close(self) -> None:
        """Close the writer."""
        if self._writer is not None:
            with writing(self.directory):
                self._writer.close()


class _Tensors(nn.Module):
    """The network as a function of tensors alone, which is what the tracer takes."""

    def __init__(self, network: nn.Module, batch: Batch, outputs: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._inputs, self._masks, self._outputs = list(batch.inputs), list(batch.masks), list(outputs)
        self.example = tuple(tensor.clone() for tensor in (*batch.inputs.values(), *batch.masks.values()))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        inputs = dict(zip(self._inputs, tensors, strict=False))
        masks = dict(zip(self._masks, tensors[len(self._inputs) :], strict=True))
        outputs = self.network(inputs, masks, self._outputs)
        return tuple(outputs[name] for name in self._outputs)


def record_results(
    directory: Path,
    experiment: Experiment,
    metrics: Mapping[str, float],
    plots: Mapping[str, Path],
    step: int,
) -> None:
    """Add the plots as images, and the hyperparameters with the final metrics, once a run is evaluated.

    Args:
        directory: of the event files.
        experiment: its training section gives the hyperparameters.
        metrics: final metrics by name, `validation.tagging` or `roc.auc`; shown as `final/validation.tagging`.
        plots: PNG file of each plot.
        step: iterations of the training.
    """
    from torch.utils.tensorboard.summary import hparams

    with writing(directory), contextlib.closing(open_writer(directory, None)) as writer:
        for name, path in plots.items():
            writer.add_image(f"plots/{name}", _read_image(path), step, dataformats="HWC")
        finals = {f"final/{name}": float(value) for name, value in metrics.items() if math.isfinite(value)}
        for summary in hparams(hyperparameters(experiment), finals):  # type: ignore[no-untyped-call]
            writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]
        for tag, value in finals.items():
            writer.add_scalar(tag, value, step)


def hyperparameters(experiment: Experiment) -> dict[str, bool | int | float | str]:
    """The scalars of the training section by path (`updates.0.optimizer.nadam.lr`), the seed and the conventions."""
    flat: dict[str, bool | int | float | str] = {"seed": experiment.seed, "conventions": experiment.conventions}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, each in value.items():
                walk(f"{path}.{key}" if path else str(key), each)
        elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
            for number, each in enumerate(value):
                walk(f"{path}.{number}", each)
        elif value is not None:
            flat[path] = value if isinstance(value, bool | int | float) else str(value)

    walk("", experiment.document.value.get("training", {}))
    return flat


def tag_of(key: str, group: str | None = None) -> str:
    """The tag of a key of metrics.jsonl."""
    first, _, rest = key.partition(".")
    if first == "lr":
        return f"learning_rate/update_{rest}"
    if not rest:
        return f"throughput/{first}"
    return f"{group or first}/{rest}"


def open_writer(directory: Path, purge_step: int | None) -> SummaryWriter:
    """A writer of event files; TensorBoard is imported here and nowhere earlier."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch.utils.tensorboard import SummaryWriter
    threading.excepthook = _without_writers
    return SummaryWriter(str(directory), purge_step=purge_step, flush_secs=30)


def _without_writers(failure: threading.ExceptHookArgs) -> None:
    """Tracebacks of threads, but not of those that write events: their errors are raised at the next event too."""
    if not type(failure.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(failure)


def _read_image(path: Path) -> Any:
    """A PNG as an array (height, width, channels) of bytes."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
