"""The primitive blocks; importing this package fills the table of `engine.graph.registry`."""

from engine.graph.blocks import (
    activation,
    attention,
    codes,
    conv1d,
    dense,
    dropout,
    einsum,
    formulas,
    helices,
    merging,
    normalisation,
    pool1d,
    pooling,
    recurrent,
    shaping,
)

__all__ = [
    "activation",
    "attention",
    "codes",
    "conv1d",
    "dense",
    "dropout",
    "einsum",
    "formulas",
    "helices",
    "merging",
    "normalisation",
    "pool1d",
    "pooling",
    "recurrent",
    "shaping",
]
