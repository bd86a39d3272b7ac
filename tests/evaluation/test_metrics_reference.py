"""The metrics of the published network on real jets, as its own code computes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from engine.evaluation.metrics.catalogue import compute
from engine.evaluation.metrics.result import MetricResult
from engine.evaluation.predictions import Predictions

CLASSES = ("qcd", "signal", "bib")
CLUSTER = ("pt", "eta", "phi", "l1hcal", "l1ecal", "l2hcal", "l2ecal", "l3hcal", "l3ecal", "l4ecal", "l4hcal", "time")
TRACK = ("pt", "eta", "phi", "vertex_nParticles", "d0", "z0", "chiSquared", "SCTShared", "SCTHoles", "SCTHits")
SEGMENT = ("etaPos", "phiPos", "etaDir", "phiDir", "chiSquared", "t0")


def dense(weights: Any, name: str, values: torch.Tensor) -> torch.Tensor:
    kernel = torch.from_numpy(weights[f"{name}.kernel"].reshape(-1, weights[f"{name}.kernel"].shape[-1]))
    return values @ kernel + torch.from_numpy(weights[f"{name}.bias"])


def last_state(weights: Any, name: str, values: torch.Tensor) -> torch.Tensor:
    kernel, recurrent = weights[f"{name}.lstm_cell.kernel"], weights[f"{name}.lstm_cell.recurrent_kernel"]
    lstm = torch.nn.LSTM(kernel.shape[0], recurrent.shape[0], batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.from_numpy(kernel.T))
        lstm.weight_hh_l0.copy_(torch.from_numpy(recurrent.T))
        lstm.bias_ih_l0.copy_(torch.from_numpy(weights[f"{name}.lstm_cell.bias"]))
        lstm.bias_hh_l0.zero_()
        return lstm(values)[0][:, -1]


def published_network(weights: Any, clusters: Any, tracks: Any, segments: Any, jets: Any) -> np.ndarray:
    """Class probabilities, shape (jets, 3)."""
    branches = [
        (clusters, ["conv1d", "conv1d_1", "conv1d_2", "constit_final_conv1d"], "lstm"),
        (tracks, ["conv1d_3", "conv1d_4", "conv1d_5", "track_final_conv1d"], "lstm_1"),
        (segments, ["conv1d_6", "conv1d_7", "MSeg_final_conv1d"], "lstm_2"),
    ]
    with torch.no_grad():
        summaries = []
        for values, layers, recurrent in branches:
            hidden = torch.from_numpy(values)
            for layer in layers:
                hidden = torch.relu(dense(weights, layer, hidden))
            summaries.append(last_state(weights, recurrent, hidden))
        hidden = torch.cat([*summaries, torch.from_numpy(jets)], dim=1)
        for layer in ("dense_1", "dense_2"):
            hidden = torch.relu(dense(weights, layer, hidden))
        return torch.softmax(dense(weights, "main_output", hidden), dim=1).numpy()


@pytest.fixture(scope="module")
def numbers(reference_data: Path) -> dict[str, Any]:
    return json.loads((reference_data / "calratio/reference/metrics_reference.json").read_text())


@pytest.fixture(scope="module")
def main_jets(reference_data: Path) -> Predictions:
    folder = reference_data / "calratio/reference"
    jets = pd.read_parquet(folder / "main881_train_input.parquet")
    return Predictions(
        outputs={"jet_class": np.load(folder / "keras_testmodel_pred_main881.npz")["pred"]},
        targets={"label": jets["label"].to_numpy()},
        weights={"weight": jets["mcEventWeight"].to_numpy(np.float64)},
        columns={
            "pt": 500 * jets["jet_pt"].to_numpy(),
            "mH": jets["llp_mH"].to_numpy(),
            "mS": jets["llp_mS"].to_numpy(),
        },
        samples=np.asarray(CLASSES)[jets["label"]],
        classes={"label": CLASSES},
        trained_on={"jet_class": "label"},
    )


@pytest.fixture(scope="module")
def control_jets(reference_data: Path) -> Predictions:
    folder = reference_data / "calratio"
    weights = np.load(folder / "reference/keras_testmodel_weights_epoch1.npz")
    jets = pd.read_pickle(folder / "felix_control_region.pkl")
    jets.columns = [name.replace("_pT", "_pt") for name in jets.columns]

    def objects(prefix: str, features: tuple[str, ...], count: int) -> np.ndarray:
        names = [f"{prefix}_{feature}_{i}" for i in range(count) for feature in features]
        return np.nan_to_num(jets[names].to_numpy(np.float32), posinf=0, neginf=0).reshape(-1, count, len(features))

    row = jets[["jet_pt", "jet_eta", "jet_phi"]].to_numpy(np.float32)
    scores = published_network(
        weights, objects("clus", CLUSTER, 30), objects("track", TRACK, 20), objects("MSeg", SEGMENT, 30), row
    )
    label = jets["label"].to_numpy(np.int64)
    return Predictions(
        outputs={"jet_class": scores},
        targets={"label": np.full(len(jets), -1), "is_data": np.where(label == 2, 1, 0)},
        weights={"weight": jets["mcEventWeight"].to_numpy(np.float64)},
        columns={"pt": jets["jet_pt"].to_numpy(np.float64)},
        samples=np.where(label == 2, "control_data", "control_mc"),
        classes={"label": CLASSES, "is_data": ("simulation", "data")},
        trained_on={"jet_class": "label"},
    )


def computed(kind: str, predictions: Predictions, **options: Any) -> MetricResult:
    return compute(kind, kind, options, predictions)


def test_area_under_the_curve_with_classes_at_their_row_counts_and_a_tenth_of_beam_background(main_jets, numbers):
    for kind in ("roc", "auc"):
        result = computed(kind, main_jets, signal="signal", normalise="rows", factors={"bib": 0.1})
        assert result.parts[0].labels["background"] == ["qcd", "bib"]
        assert result.parts[0].values["auc"] == pytest.approx(numbers["roc_auc_all(third=BIB,thr=0)"], abs=1e-9)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("all", {"normalise": {"qcd": "bib"}}),
        ("QCD only", {"backgrounds": ["qcd"], "normalise": {"qcd": "rows"}}),
        ("BIB only", {"backgrounds": ["bib"]}),
    ],
)
def test_s_over_root_b_and_the_area_under_its_scan(main_jets, numbers, key, options):
    part = computed("s_over_sqrt_b", main_jets, signal="signal", **options).parts[0]
    assert part.values["maximum"] == pytest.approx(numbers[f"SoverRootB_max/{key}"], abs=1e-9)
    area = float(numbers[f"text/{key}"].split(",")[0].removeprefix("AuS: "))
    assert part.values["area"] == pytest.approx(area, abs=1e-9)


def test_efficiency_for_each_pair_of_masses(main_jets, numbers):
    parts = computed("efficiency", main_jets, signal="signal", per=["mH", "mS"]).parts
    found = {
        f"{part.labels['bin']['mH']},{part.labels['bin']['mS']}": part.values["efficiency"]
        for part in parts
        if "bin" in part.labels
    }
    assert found == pytest.approx(numbers["llp_eff"], abs=1e-12)


def test_kolmogorov_smirnov_distances_of_control_jets_inclusive_and_in_bins_of_momentum(control_jets, numbers):
    bins = {"pt": ["-inf", 0.25, 0.5, "inf"]}
    result = computed("weighted_ks", control_jets, of="jet_class", target="is_data", bins=bins)
    regions = ["all", "lowPt(<.25)", "midPt", "highPt(>.5)"]
    for output, key in zip(CLASSES, ("qcd", "sig", "bib"), strict=True):
        parts = [part for part in result.parts if part.labels["output"] == output]
        for part, region in zip(parts, regions, strict=False):
            assert part.values["ks"] == pytest.approx(numbers["ks"][region][key], abs=1e-6)
            assert sum(part.values["rows"]) == numbers["ks"][region]["n"]
        assert parts[-1].values["ks"] == pytest.approx(numbers["ks_history_value(sum low+mid+high)"][key], abs=1e-6)


def test_highest_output_counts_of_the_published_network(main_jets):
    part = computed("confusion_matrix", main_jets, weight="none", normalise="none").parts[0]
    assert part.values["matrix"].sum(axis=0).tolist() == [255, 106, 520]
