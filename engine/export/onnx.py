"""ONNX: one file that takes raw fields and gives scores, with a dynamic number of rows and of objects."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from torch import Tensor

from engine.errors import ExportError
from engine.export.deployed import Deployed
from engine.export.raw import RawInputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter logs, warns and prints about its own internals; the user is told only what is his."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def example(raw: RawInputs, rows: int = 2, objects: int = 3) -> dict[str, Tensor]:
    """Raw tensors of ones, to trace a network with."""
    tensors = {}
    for name, fields in raw.objects.items():
        if fields:
            tensors[name] = torch.ones(rows, objects, len(fields))
        tensors[f"{name}_mask"] = torch.ones(rows, objects, dtype=torch.bool)
    if raw.row:
        tensors["row"] = torch.ones(rows, len(raw.row))
    return tensors


def write_traced(deployed: Deployed, path: Path, facts: Mapping[str, Any], opset: int) -> None:
    """Write the network to `path` by tracing it: a second where `write_exported` takes thirty.

    Tracing takes the shapes of its example for granted where a module computes with them in Python; the check that
    follows every export, on rows of other shapes, would show it.

    Args:
        deployed: the network in inference mode, on the CPU.
        path: the file.
        facts: what a program that loads the file should know; kept as JSON in its metadata under `engine`.
        opset: version of the ONNX operator set.

    Raises:
        ExportError: an operation of the network cannot be traced into ONNX.
    """
    tensors = example(deployed.raw)
    axes = {name: {0: "rows", **objects} for name, objects in _object_axes(deployed.raw, str).items()}
    try:
        with quiet(), torch.no_grad():
            torch.onnx.export(
                deployed,
                tuple(tensors.values()),
                path,
                dynamo=False,
                input_names=list(tensors),
                output_names=list(deployed.outputs),
                dynamic_axes={**axes, **{name: {0: "rows"} for name in deployed.outputs}},
                opset_version=opset,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
        message = f"the network cannot be traced: {_reason(error)}"
        raise ExportError(message) from error
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"engine": json.dumps(facts, sort_keys=True)})
    onnx.save(model, path)


def write_exported(deployed: Deployed, path: Path, facts: Mapping[str, Any], opset: int) -> None:
    """Write the network to `path` through torch.export, which knows every operation of torch; slow.

    Arguments as those of `write_traced`.

    Raises:
        ExportError: an operation of the network has no ONNX form.
    """
    tensors = example(deployed.raw)
    rows = torch.export.Dim("rows", min=1)
    axes = _object_axes(deployed.raw, lambda name: torch.export.Dim(name, min=1))
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                deployed,
                tuple(tensors.values()),
                dynamo=True,
                dynamic_shapes=(tuple({0: rows, **objects} for objects in axes.values()),),
                input_names=list(tensors),
                output_names=list(deployed.outputs),
                opset_version=opset,
                verbose=False,
            )
    except Exception as error:  # a step of the exporter may fail with an error of any kind
        message = f"the network has no ONNX form: {_reason(error)}"
        raise ExportError(message) from error
    if program is None:
        message = "the exporter of torch gave no program"
        raise ExportError(message)
    program.model.metadata_props["engine"] = json.dumps(facts, sort_keys=True)
    program.save(path)


def _object_axes(raw: RawInputs, named: Callable[[str], Any]) -> dict[str, dict[int, Any]]:
    """For each tensor the axis that counts objects, if it has one; a collection and its mask share the name."""
    names = {name: named(f"n_{name}") for name in raw.objects}
    collections = {name: name.removesuffix("_mask") for name in raw.names}
    return {name: {1: names[base]} if base in names else {} for name, base in collections.items()}


def _reason(error: BaseException) -> str:
    """The line of the exporter's long message that names the operation."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "No ONNX function" in line or "aten." in line]
    return (named or lines or [type(error).__name__])[0]


def run_onnx(path: Path, tensors: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The outputs of a written file on the CPU, by onnxruntime.

    Raises:
        ExportError: onnxruntime cannot load or run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        wanted = {argument.name for argument in session.get_inputs()}
        feed = {name: tensor.numpy() for name, tensor in tensors.items() if name in wanted}
        values = session.run(list(outputs), feed)
    except Exception as error:  # its errors have no class of their own in common
        message = f"onnxruntime cannot run the exported network: {_reason(error)}"
        raise ExportError(message) from error
    return dict(zip(outputs, values, strict=True))
