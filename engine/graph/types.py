"""What flows between the blocks of a graph, as validation sees it: shapes, masks, and the rule of a block's outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.errors import EngineError, Mistake


@dataclass(frozen=True)
class TensorType:
    """The type of one value of the graph.

    Attributes:
        shape: sizes without the batch axis. The last one counts features; those before it count objects: `(3,)` is
            the row itself with 3 features, `(30, 12)` 30 objects of 12 features, `(30, 30, 8)` all pairs of 30 objects.
        masked: whether a mask says which objects are real; its shape is that of the object axes.
        names: the names of the features where they are known (inputs of the network); a feature of several columns
            has its name several times.
        broadcast: a row that the next block is to use for each object (`{broadcast: jet}`).
        vocabulary: how many codes there are where the features are codes of a vocabulary, that of padding among them.
    """

    shape: tuple[int, ...]
    masked: bool = False
    names: tuple[str, ...] | None = field(default=None, compare=False)
    broadcast: bool = False
    vocabulary: int | None = field(default=None, compare=False)

    @property
    def features(self) -> int:
        """The size of the last axis; 1 for a plain number."""
        return self.shape[-1] if self.shape else 1

    @property
    def objects(self) -> tuple[int, ...]:
        """The sizes of the object axes; () for the row itself."""
        return self.shape[:-1]

    def with_features(self, features: int) -> TensorType:
        """The same objects (and mask) with another number of features."""
        return TensorType((*self.objects, features), self.masked)

    def unmasked(self) -> TensorType:
        """The same shape without a mask."""
        return replace(self, masked=False)

    def __str__(self) -> str:
        return words(self)


def plural(count: int, noun: str) -> str:
    """A number with its noun: `1 object`, `30 objects`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def words(value: TensorType) -> str:
    """A shape as people say it: `30 objects x 12 features`."""
    if not value.shape:
        return "one number"
    features = plural(value.features, "feature")
    if not value.objects:
        return features
    if len(value.objects) == 1:
        return f"{plural(value.objects[0], 'object')} x {features}"
    return f"{' x '.join(map(str, value.objects))} combinations of objects x {features}"


@dataclass(frozen=True)
class Outcome:
    """What a block makes of its inputs.

    Attributes:
        outputs: the types of its outputs; most blocks have one.
        trainable: number of parameters that training moves.
        fixed: number of other values that belong to the state, such as the running means of batch normalisation.
        names: the names of the outputs where there are several to choose from (`vertex.position`); () otherwise.
    """

    outputs: tuple[TensorType, ...]
    trainable: int = 0
    fixed: int = 0
    names: tuple[str, ...] = ()


class RuleError(Exception):
    """A block cannot do what it is asked to; the sentence goes on after the block's name.

    Attributes:
        message: what is wrong and what to write instead.
        parameter: the parameter that is to blame, None for the block as a whole.
    """

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter


class PlanError(EngineError):
    """The declared network cannot be built; carries every mistake found."""

    exit_code = 2

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: tuple[Mistake, ...] = tuple(dict.fromkeys(mistakes))
        super().__init__("\n".join(mistake.message for mistake in self.mistakes))


InputTypes = Mapping[str, TensorType]
