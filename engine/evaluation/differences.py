"""Output minus target of a regression, component by component, and in units of the error that the network gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.data.columns import Array
from engine.evaluation.predictions import Predictions
from engine.evaluation.rows import (
    Spread,
    choose_output,
    choose_target,
    class_names,
    objects_of,
    row_weights,
    spread,
)
from engine.evaluation.unavailable import UnavailableError


@dataclass(frozen=True)
class Differences:
    """The m rows (or objects) that have a target.

    Attributes:
        values: output minus target, shape (m, components).
        components: their names; ("",) for a plain number.
        weights: shape (m,).
        columns: shape (m,) each.
        pulls: the differences in units of their errors, shape (m, components); None without a covariance.
        chi2: difference, inverse covariance, difference, shape (m,); None without a full covariance.
        output, target, unit: what this is of.
        not_finite: rows that have a target but whose output, covariance or weight is not finite.
        rows: number of the row of each, shape (m,).
    """

    values: Array
    components: tuple[str, ...]
    weights: Array
    columns: Mapping[str, Array]
    pulls: Array | None
    chi2: Array | None
    output: str
    target: str
    unit: str | None
    not_finite: int
    rows: Array


def differences(
    predictions: Predictions, of: str | None, target: str | None, weight: str, covariance: str | None = None
) -> Differences:
    """Output minus target wherever the target is present.

    Raises:
        UnavailableError: a name is unknown, or output and target do not go together.
    """
    output = choose_output(predictions, of, classes=False)
    chosen = choose_target(predictions, output, target)
    if predictions.classes.get(chosen) and not class_names(predictions, chosen)[0].startswith("not "):
        message = f"target {chosen} has classes; residuals are of numbers"
        raise UnavailableError(message)
    objects_of(predictions, output, chosen)
    truth = np.asarray(predictions.targets[chosen], dtype=np.float64)
    values = predictions.outputs[output]
    names = predictions.components.get(chosen, ())
    truth = truth if names else truth[..., None]
    if values.shape[-1] < truth.shape[-1] or (names and values.shape[-1] != len(names)):
        message = f"output {output} has {values.shape[-1]} values and target {chosen} {truth.shape[-1]}"
        raise UnavailableError(message)
    truth = np.broadcast_to(truth, values.shape)
    present: Array = np.asarray(np.isfinite(truth).all(axis=-1))
    if not present.any():
        message = f"no row of the {predictions.which} split has a value of target {chosen}"
        raise UnavailableError(message)
    difference = values[present].astype(np.float64) - truth[present]
    pulls, chi2 = _pulls(predictions, covariance, difference, present)
    weights = spread(row_weights(predictions, weight), present)
    checked = (difference, weights[:, None], *([pulls] if pulls is not None else []))
    usable = np.logical_and.reduce([np.isfinite(each).all(axis=1) for each in checked])
    keep = present.copy()
    keep[present] = usable
    return Differences(
        values=difference[usable],
        components=names or (("",) if difference.shape[1] == 1 else tuple(map(str, range(difference.shape[1])))),
        weights=weights[usable],
        columns=Spread(predictions.columns, keep),
        pulls=None if pulls is None else pulls[usable],
        chi2=None if chi2 is None else chi2[usable],
        output=output,
        target=chosen,
        unit=predictions.units.get(chosen),
        not_finite=int((~usable).sum()),
        rows=spread(np.arange(len(predictions)), keep),
    )


def _pulls(
    predictions: Predictions, covariance: str | None, difference: Array, present: Array
) -> tuple[Array | None, Array | None]:
    """Differences over their errors, and chi squared; rows whose covariance is not positive get NaN."""
    if covariance is None:
        return None, None
    values = predictions.outputs[choose_output(predictions, covariance)]
    if values.shape[:-1] != present.shape:
        message = f"covariance {covariance} has {values.shape[1:-1]} of its values a row, not {present.shape[1:]}"
        raise UnavailableError(message)
    matrices = covariance_matrices(values[present].astype(np.float64), difference.shape[1], covariance)
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    with np.errstate(all="ignore"):
        pulls = difference / np.sqrt(variances)
    return pulls, _chi2(matrices, difference)


def covariance_matrices(values: Array, size: int, name: str) -> Array:
    """Covariances, shape (m, size, size).

    Args:
        values: shape (m, size^2): the matrix; (m, size (size + 1) / 2): its upper triangle, row by row; (m, size): the
            variances.
        size: number of components.
        name: of the output, for messages.
    """
    count = values.shape[1]
    if count == size**2:
        return values.reshape(-1, size, size)
    matrices = np.zeros((len(values), size, size))
    if count == size:
        matrices[:, range(size), range(size)] = values
        return matrices
    if count == size * (size + 1) // 2:
        rows, columns = np.triu_indices(size)
        matrices[:, rows, columns] = matrices[:, columns, rows] = values
        return matrices
    message = f"{name} has {count} values; the covariance of {size} components has {size**2}, or {size} variances"
    raise UnavailableError(message)


def _chi2(matrices: Array, difference: Array) -> Array:
    """Difference, inverse covariance, difference; NaN where the covariance cannot be inverted."""
    result = np.full(len(difference), np.nan)
    sound = np.isfinite(matrices).all(axis=(1, 2))
    scale = np.sqrt(np.abs(np.diagonal(matrices, axis1=1, axis2=2)))
    sound &= (scale > 0).all(axis=1)
    unit = matrices[sound] / (scale[sound, :, None] * scale[sound, None, :])
    regular = np.linalg.det(unit) > 1e-12
    where = np.flatnonzero(sound)[regular]
    scaled = difference[where] / scale[where]
    result[where] = (scaled * np.linalg.solve(unit[regular], scaled[..., None])[..., 0]).sum(axis=1)
    return result
