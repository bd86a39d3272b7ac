"""Real ATLAS files give the rows, columns and values that the original conversion and build steps gave."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from engine_kernels.sanitize.transforms import apply

from engine.data.columns import Jagged
from engine.data.fits import feature_transform


def reference(folder: Path, name: str):
    return pq.read_table(folder / "calratio" / "reference" / f"{name}.parquet").to_pandas()


def wide(data, table, pad, transformed: bool):
    """The inputs of rows in the columns of the original: `clus_pt_0`, ..., `jet_pt`."""
    columns = {}
    for name, values in table.inputs.items():
        spec = data.inputs[name]
        if transformed:
            transforms = [feature_transform(feature, None) for feature in spec.features.values()]
            flat = apply(values.values if isinstance(values, Jagged) else values, transforms)
            values = Jagged(values.offsets, flat) if isinstance(values, Jagged) else flat
        for index, feature in enumerate(spec.features):
            if isinstance(values, Jagged):
                objects = pad(values, spec.keep)
                columns |= {f"{name}_{feature}_{place}": objects[:, place, index] for place in range(spec.keep)}
            else:
                columns[f"{name}_{feature}"] = values[:, index]
    return {**columns, **table.columns, "label": table.targets["label"], "mcEventWeight": table.weight}


def assert_same(columns, expected, without=()):
    """Every column of the reference agrees to 1e-6; NaN and 0 of the original's padding are the same."""
    names = [name for name in expected.columns if name not in without]
    assert set(names) <= set(columns)
    for name in names:
        wanted = np.nan_to_num(expected[name].to_numpy(dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        np.testing.assert_allclose(columns[name], wanted, rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("sample", "name", "shape"),
    [("sig", "sig311314_as_sig", (21, 815)), ("qcd", "sig311314_as_qcd", (109, 815)), ("bib", "bib_as_bib", (1, 815))],
)
def test_every_column_of_the_original_conversion_is_reproduced(
    sample, name, shape, spec_section, sample_rows, reference_data, pad
):
    data = spec_section("converted.yaml")
    expected = reference(reference_data, name).rename(columns={"llp_pT": "llp_pt"})
    assert expected.shape == shape
    # The original gives the beam jet that a BIB row was matched to no columns; here it is `matched` like any other.
    matched_to_beam_jet = ["llp_pt", "llp_eta", "llp_phi"] if sample == "bib" else []
    assert_same(wide(data, sample_rows(data, sample), pad, transformed=False), expected, matched_to_beam_jet)


def test_run_and_event_numbers_keep_their_integer_types(spec_section, sample_rows):
    table = sample_rows(spec_section("converted.yaml"), "bib")
    assert table.columns["eventNumber"].dtype == np.uint64
    assert table.columns["eventNumber"].tolist() == [823061996]
    assert table.columns["runNumber"].dtype == np.int64


def test_the_file_of_one_event_gives_the_published_jet(spec_section, sample_rows):
    table = sample_rows(spec_section("converted.yaml"), "short")
    clusters, tracks = table.inputs["clus"], table.inputs["track"]
    assert table.columns["eventNumber"].tolist() == [2443789]
    np.testing.assert_allclose(
        [table.columns[name][0] for name in ("jet_pt", "jet_eta", "jet_phi")],
        [59.228515625, -1.102470874786377, 2.612957000732422],
    )
    np.testing.assert_allclose(
        clusters.values[:2, :3],
        [[41836.65880857209, 0, 0], [901.0461375820415, -0.23097681999206543, -0.013678789138793945]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(tracks.values[0, :2], [1.029173969094411, -0.06801918874092427], rtol=1e-6)
    assert len(table.inputs["MSeg"].values) == 0


def test_build_transforms_give_the_original_training_values(spec_section, sample_rows, reference_data, pad):
    data = spec_section("mixed.yaml")
    columns = wide(data, sample_rows(data, "sig_125_55"), pad, transformed=True)
    expected = reference(reference_data, "sig311314_built_0_500")
    assert expected.shape == (21, 814)
    # It was built from a conversion without the masses of the sample.
    assert_same(columns, expected, without=["llp_mH", "llp_mS"])
    assert columns["clus_eta_1"][0] == pytest.approx(-0.0655142068862915, rel=1e-6)


def test_root_file_and_wide_pickles_together_are_the_original_training_set(
    spec_section, sample_rows, reference_data, pad
):
    data = spec_section("mixed.yaml")
    parts = [wide(data, sample_rows(data, sample), pad, transformed=True) for sample in data.samples]
    expected = reference(reference_data, "main881_train_input")
    assert [len(part["label"]) for part in parts] == [76, 21, 226, 558]
    assert sum(len(part["label"]) for part in parts) == len(expected) == 881
    columns = {name: np.concatenate([part[name] for part in parts]).astype(np.float64) for name in parts[0]}
    expected["runNumber"] = expected["runNumber"].fillna(0)
    # The control-region file is older than the original's wrapping of angles: 26 rows have some beyond pi, as float32.
    angles = [name for name in expected if re.fullmatch(r"(clus_phi|track_phi|MSeg_phiPos|MSeg_phiDir)_\d+", name)]
    unwrapped = (expected[angles].abs() > np.pi).any(axis=1).to_numpy()
    assert expected["label"][unwrapped].eq(0).all()
    assert_same({name: values[~unwrapped] for name, values in columns.items()}, expected[~unwrapped])
    for name in angles:
        turns = (expected[name].fillna(0) - columns[name]) / (2 * np.pi)
        np.testing.assert_allclose(turns, np.round(turns), atol=1e-7, err_msg=name)
    assert_same(columns, expected, angles)
    assert unwrapped.sum() == 26
