"""The sections of a spec as frozen dataclasses: what the rest of the program works with."""

from engine.spec.sections.choice import ChoiceSpec
from engine.spec.sections.data import (
    CollectionSpec,
    DataSpec,
    FeatureSpec,
    FieldSpec,
    InputSpec,
    LayoutSpec,
    PredictSpec,
    RowsSpec,
    SampleSpec,
    SelectionSpec,
    SplitSpec,
    TargetSpec,
    TextSpec,
    VocabularySpec,
    WeightSpec,
)
from engine.spec.sections.model import BlockParameter, BlockSpec, LayerSpec, ModelSpec, NodeSpec, SourceSpec
from engine.spec.sections.results import EvaluationSpec
from engine.spec.sections.training import (
    EarlyStoppingSpec,
    LoadSpec,
    LossSpec,
    MonitorSpec,
    StreamSpec,
    TrainingSpec,
    UpdateSpec,
)

__all__ = [
    "BlockParameter",
    "BlockSpec",
    "ChoiceSpec",
    "CollectionSpec",
    "DataSpec",
    "EarlyStoppingSpec",
    "EvaluationSpec",
    "FeatureSpec",
    "FieldSpec",
    "InputSpec",
    "LayerSpec",
    "LayoutSpec",
    "LoadSpec",
    "LossSpec",
    "ModelSpec",
    "MonitorSpec",
    "NodeSpec",
    "PredictSpec",
    "RowsSpec",
    "SampleSpec",
    "SelectionSpec",
    "SourceSpec",
    "SplitSpec",
    "StreamSpec",
    "TargetSpec",
    "TextSpec",
    "TrainingSpec",
    "UpdateSpec",
    "VocabularySpec",
    "WeightSpec",
]
