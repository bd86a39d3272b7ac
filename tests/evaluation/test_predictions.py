"""Predictions survive the way to the disk and back; a file that holds none is refused with a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import DataError
from engine.evaluation.predictions import Predictions
from engine.evaluation.stored import stored_key


def subset(predictions: Predictions, rows: int) -> Predictions:
    return replace(predictions.of_rows(np.arange(len(predictions)) < rows), which="validation", key="abc")


@pytest.mark.parametrize("rows", [0, 1, 500])
def test_what_is_saved_is_what_is_loaded(tagger, tmp_path, rows):
    saved = subset(tagger, rows)
    path = tmp_path / "predictions" / "validation.arrow"
    saved.save(path)
    loaded = Predictions.load(path)
    assert (len(loaded), loaded.which, loaded.classes) == (rows, "validation", saved.classes)
    for fact in ("trained_on", "components", "units", "kinds", "key"):
        assert getattr(loaded, fact) == getattr(saved, fact)
    assert loaded.outputs["pairing"].shape == (rows, 6, 6, 1)
    assert stored_key(path) == "abc"
    assert loaded.samples.tolist() == saved.samples.tolist()
    for kind in ("outputs", "targets", "weights", "columns"):
        before, after = getattr(saved, kind), getattr(loaded, kind)
        assert before.keys() == after.keys()
        for name, values in before.items():
            assert after[name].dtype == values.dtype
            np.testing.assert_array_equal(after[name], values)
    assert [file.name for file in path.parent.iterdir()] == ["validation.arrow"]


def test_a_file_without_predictions_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Predictions.load(tmp_path / "absent.arrow")
    (tmp_path / "text.arrow").write_text("no Arrow file")
    with pytest.raises(DataError, match="cannot be read as an Arrow file"):
        Predictions.load(tmp_path / "text.arrow")
    table = pa.table({"a": [1]})
    with pa.OSFile(str(tmp_path / "other.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match="but not one of predictions"):
        Predictions.load(tmp_path / "other.arrow")
