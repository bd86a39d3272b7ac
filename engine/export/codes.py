"""Numbers to the codes of a vocabulary in torch, with operations that ONNX has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engine.data.vocabulary import code_table
from engine.export.padded import Padded
from engine.spec.sections.data import InputSpec, VocabularySpec


class Encode(nn.Module):
    """Features that have a vocabulary become codes, the others pass; see `engine.data.vocabulary.encode`.

    A value that is not listed cannot stop an exported network: with `unknown: stop` it gets the code 0.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.features = tuple(spec.features)
        vocabularies = {name: feature.vocabulary for name, feature in spec.features.items()}
        self.tables = nn.ModuleDict({name: CodeTable(each) for name, each in vocabularies.items() if each is not None})

    def forward(self, columns: Sequence[Any]) -> list[Any]:
        """Columns of the feature program in the order of the features."""
        named = zip(self.features, columns, strict=True)
        return [self.tables[name](column) if name in self.tables else column for name, column in named]


class CodeTable(nn.Module):
    """A binary search in the sorted tokens, which are rounded to float32 as the fields of a network are."""

    numbers: Tensor
    codes: Tensor

    def __init__(self, vocabulary: VocabularySpec) -> None:
        super().__init__()
        numbers, codes = code_table(vocabulary)
        self.unknown = len(vocabulary.tokens) + 1 if vocabulary.unknown == "own" else 0
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.float32).double())
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.float64))

    def forward(self, value: Any) -> Any:
        """The code of each value."""
        if not isinstance(value, Padded):
            return self(Padded(torch.tensor([[float(value)]], dtype=torch.float64)))
        if not len(self.numbers):
            return Padded(torch.full_like(value.tensor, float(self.unknown)), value.mask)
        place = torch.zeros_like(value.tensor, dtype=torch.int64)
        step = 1 << (len(self.numbers) - 1).bit_length()
        while step := step // 2:
            further = torch.clamp(place + step, max=len(self.numbers) - 1)
            place = torch.where(self.numbers[further] <= value.tensor, further, place)
        found = self.numbers[place] == value.tensor
        return Padded(torch.where(found, self.codes[place], float(self.unknown)), value.mask)
