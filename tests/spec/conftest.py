"""A small spec that is right, and a helper that tells what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from engine.errors import SpecError
from engine.spec.load import load_text

SMALL = """\
name: small
data:
  collections:
    event: {run: runNumber, number: eventNumber}
    jets: {pt: jet_pt, eta: jet_eta, phi: jet_phi}
    clusters: {owner: clus_jet, pt: clus_pt, eta: clus_eta}
  selections:
    good: {of: jets, where: "pt > 40 and abs(eta) < 2.5"}
  samples:
    signal: {files: [signal*.root], rows: good, label: signal}
    background: {files: background.root, rows: good, label: background}
  inputs:
    clusters: {of: clusters, order: -pt, keep: 10, features: {pt: {scale: 1/500}, eta: {}}}
    jet: {of: jets, features: {pt: {}, eta: {}}}
  targets:
    label: {classes: [background, signal]}
  columns: {run: event.run, number: event.number, pt: jets.pt}
  split: {by: [run, number]}
model:
  graph:
    summary: {from: clusters, layers: [dense: 8, lstm: 4]}
    output: {from: [summary, jet], layers: [concat, dense: {units: 2, activation: softmax}]}
training:
  streams: {main: {samples: [signal, background], batch: 64}}
  losses: {tagging: {cross_entropy: {of: output, target: label}}}
  updates: [{minimize: tagging, optimizer: {adam: {lr: 1e-3}}}]
"""

Tell = Callable[..., list[str]]


@pytest.fixture
def small() -> str:
    """The text of the small spec."""
    return SMALL


@pytest.fixture
def tell() -> Tell:
    """The sentences about the small spec once texts in it are replaced: `tell((old, new), ...)`."""

    def problems(*changes: tuple[str, str], overrides: Sequence[str] = ()) -> list[str]:
        text = SMALL
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the small spec"
            text = text.replace(old, new)
        try:
            load_text(text, overrides, name="small.yaml")
        except SpecError as error:
            return [str(problem) for problem in error.problems]
        return []

    return problems
