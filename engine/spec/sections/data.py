"""The `data:` section of a spec, checked and typed: what is read, which rows are made of it, what the network sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import Path
from engine.spec.expressions import Expression

Scalar = int | float | str | bool


@dataclass(frozen=True)
class FieldSpec:
    """A field of a collection: a branch of the file, or an expression of branches.

    `{i}` in a branch name: one branch a slot of a wide table.
    """

    name: str
    branch: str | None
    expression: Expression | None  # of branch names
    default: Scalar | None  # used where the file has no such branch
    unit: str | None
    path: Path


@dataclass(frozen=True)
class CollectionSpec:
    """What one entry (event) of a file holds: one value of each field (scalar branches) or a list of objects.

    `owner` names a branch with, for each object, the index of the row's object that it belongs to (or a list of such
    indices, -1 for none); "implicit" says that an entry has one row and all objects belong to it.
    `slots` is the number of `{i}` branches of a wide table and `exists` says which slots hold an object.
    """

    name: str
    fields: Mapping[str, FieldSpec]
    owner: str | None
    slots: int | None
    exists: Expression | None
    path: Path


@dataclass(frozen=True)
class SelectionSpec:
    """The objects of a collection (or of another selection) that pass a condition on its fields."""

    name: str
    of: str
    where: Expression
    path: Path


@dataclass(frozen=True)
class LayoutSpec:
    """How one kind of file is read. The `data:` section itself is the layout named "default"."""

    name: str
    format: Literal["root", "parquet", "hdf5", "pandas_hdf", "pickle", "npy", "memmap"] | None  # None: from the ending
    tree: str | None  # TTree, RNTuple, HDF5 dataset/group, or array that the named files hold
    collections: Mapping[str, CollectionSpec]
    selections: Mapping[str, SelectionSpec]
    path: Path


@dataclass(frozen=True)
class RowsSpec:
    """Which objects become rows: a collection or selection, or for each object of `to` the nearest of them in delta R.

    Attributes:
        of: collection or selection that the rows come from.
        to: None, or the collection or selection matched to; its fields are then known as `matched.<field>`.
        within: largest delta R of a match (inclusive); None for no limit.
    """

    of: str
    to: str | None
    within: float | None
    path: Path


@dataclass(frozen=True)
class SampleSpec:
    """Files of one kind, the rows made of them, and what is known about all of them: label, weight, constants."""

    name: str
    files: tuple[str, ...]  # globs
    layout: str
    rows: RowsSpec
    labels: tuple[str, ...]  # each the class of one target
    weight: Expression | None  # None: event.weight where the layout has it, else 1
    constants: Mapping[str, float]
    path: Path


@dataclass(frozen=True)
class VocabularySpec:
    """The tokens that become codes: 0 is padding, 1 .. n are the tokens in their order.

    Attributes:
        tokens: as texts, each once. Of a field of numbers, those that are written as a number take part.
        unknown: what a token becomes that is not listed. "pad": code 0; "own": code n + 1; "skip": it is left out
            (of a text only); "stop": an error.
    """

    tokens: tuple[str, ...]
    unknown: Literal["pad", "own", "skip", "stop"]

    @property
    def size(self) -> int:
        """Number of different codes with the padding: the rows of an embedding."""
        return len(self.tokens) + (2 if self.unknown == "own" else 1)


@dataclass(frozen=True)
class TextSpec:
    """A text field of the row whose parts are the objects of an input.

    Attributes:
        field: such as `event.decay`.
        split: what stands between two tokens; empty parts are left out.
    """

    field: str
    split: str


@dataclass(frozen=True)
class FeatureSpec:
    """One feature of an input and its transforms, which act in the order of the attributes below.

    `expression` .. `mirror` are computed when the data are prepared, from the objects of the row that the input keeps;
    `absolute` .. `fill` act on one value at a time, in the loader and as first nodes of the exported graph. With a
    `vocabulary` the prepared data hold codes, and nothing acts on them.
    """

    name: str
    expression: Expression | None  # None: the field of that name
    fraction_of: tuple[str, ...]  # value / sum of these fields, 0/0 -> 0
    mirror: Expression | None  # sign flipped where this is negative
    absolute: bool
    log1p: bool
    clip: tuple[float, float] | Literal["fit"] | None
    scale: float | Literal["fit"] | None  # "fit": (x - mean) / standard deviation of the training split
    offset: float
    range: tuple[float, float] | None  # the clip limits are mapped to this range
    range_from: tuple[float, float] | None  # fixed limits mapped to `range` (default 0..1) without a clip
    one_hot: tuple[float, ...] | None  # one column a listed value; any other value gives zeros
    fill: float  # what stands in place of NaN and inf, after all else
    path: Path
    vocabulary: VocabularySpec | None = None


@dataclass(frozen=True)
class InputSpec:
    """An input of the network: the row itself (of the rows' collection or `event`), or objects that belong to it.

    The tokens of a text field (`text`) are objects too; their only feature is `token`.
    """

    name: str
    of: str  # of a text: the collection that the field is of
    order: Expression | None  # ascending; None keeps the file's order
    keep: int | None  # at most n objects a row; None for the row itself
    where: Expression | None  # objects that count, a condition on their fields
    relative_to: Literal["leading", "row"] | None  # for fields eta and phi; phi wrapped to +-pi
    dtype: Literal["float32", "float16", "int8", "uint8", "int16", "uint16", "int32"]
    features: Mapping[str, FeatureSpec]
    path: Path
    text: TextSpec | None = None

    @property
    def width(self) -> int:
        """Columns that the network sees: one a feature, or one a listed value where it is one-hot."""
        return sum(len(feature.one_hot) if feature.one_hot else 1 for feature in self.features.values())

    @property
    def vocabulary(self) -> VocabularySpec | None:
        """The vocabulary that all features share; None where they have none, or several."""
        first, *others = {feature.vocabulary for feature in self.features.values()} or {None}
        return None if others else first


@dataclass(frozen=True)
class TargetSpec:
    """What the network learns of a row, of each object that an input keeps, or of each ordered pair of them.

    `classes` maps a class to its value: None where the sample's label says the class, else the expression's value.
    The class index is the position in `classes`. No classes: numbers are learnt. What is absent is -1 for classes and
    NaN for numbers.

    Attributes:
        expressions: one for each component; () where the sample's label says the class.
        components: names of the components of a vector; () for a scalar.
        valid: where this is false the target is absent; None for always valid.
        unit: of the numbers.
        of: input whose objects have a value each; None for none.
        pairs: input whose pairs of objects have a value each; None for none.
    """

    name: str
    classes: Mapping[str, float | None]
    expressions: tuple[Expression, ...]
    components: tuple[str, ...]
    valid: Expression | None
    unit: str | None
    of: str | None
    pairs: str | None
    path: Path

    @property
    def expression(self) -> Expression | None:
        """The only expression of a scalar; None where there is none or where there are components."""
        return self.expressions[0] if self.expressions and not self.components else None

    @property
    def kind(self) -> Literal["row", "objects", "pairs"]:
        """What has a value each."""
        return "objects" if self.of is not None else "pairs" if self.pairs is not None else "row"

    @property
    def input(self) -> str | None:
        """The input whose objects or pairs have the values; None for a target of the row."""
        return self.of if self.of is not None else self.pairs


@dataclass(frozen=True)
class WeightSpec:
    """A derived weight: that of the row times an expression and a factor of its class and, in bins, of a column.

    Attributes:
        of: the weight it starts from ("weight" is the row's own).
        expression: factor from the names of the row, computed at preparation; None for none.
        samples: the samples whose training split fixes the factors; () for all.
        balance: target whose classes all get the sum of weights of the last one listed among them
            (`to` names another class); None for no balancing.
        reweight: column whose distribution is changed, None for none.
        bins: edges of the column; values outside take the nearest bin.
        to: class whose distribution the others get, "flat", or "mean": the sum of each class becomes the mean of all.
    """

    name: str
    of: str
    expression: Expression | None
    samples: tuple[str, ...]
    balance: str | None
    reweight: str | None
    bins: tuple[float, ...]
    to: str | None
    path: Path


@dataclass(frozen=True)
class SplitSpec:
    """Rows go to a split by a hash of their identity (columns of `by`) and of the seed; the fractions add up to 1."""

    by: tuple[str, ...]
    train: float
    validation: float
    test: float


@dataclass(frozen=True)
class PredictSpec:
    """The rows that `engine predict` makes of a file, the layout it reads, and the constants that its rows have."""

    rows: RowsSpec
    layout: str
    constants: Mapping[str, float]


@dataclass(frozen=True)
class DataSpec:
    """The whole `data:` section."""

    layouts: Mapping[str, LayoutSpec]
    on_error: Literal["stop", "skip"]
    max_lost: float  # largest fraction of a sample's files that may be skipped
    samples: Mapping[str, SampleSpec]
    inputs: Mapping[str, InputSpec]
    targets: Mapping[str, TargetSpec]
    columns: Mapping[str, Expression]
    weights: Mapping[str, WeightSpec]
    split: SplitSpec
    predict: PredictSpec | None
    seed: int
    raw: Mapping[str, Any] = field(repr=False)  # the resolved section as plain values: what the fingerprint is made of
    path: Path = ("data",)
