"""The `data:` section: plain values that the schema finds right to typed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path
from engine.spec.defaults import complete
from engine.spec.expressions import Expression, parse
from engine.spec.sections import (
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

Plain = Mapping[str, Any]

COLLECTION_KEYS = ("owner", "slots", "exists")
DEFAULT_LAYOUT = "default"
TOKEN = "token"  # name of the feature of a text


def build_data(raw: dict[str, Any]) -> DataSpec:
    """The typed section; `raw` are its plain values, valid but without defaults."""
    data = complete(raw, "data.json")
    path: Path = ("data",)
    layouts = {DEFAULT_LAYOUT: _layout(DEFAULT_LAYOUT, data, path)}
    for name, value in data["layouts"].items():
        layouts[name] = _layout(name, value, (*path, "layouts", name))
    return DataSpec(
        layouts=layouts,
        on_error=data["on_error"],
        max_lost=float(data["max_lost"]),
        samples={k: _sample(k, v, (*path, "samples", k)) for k, v in data["samples"].items()},
        inputs={k: _input(k, v, (*path, "inputs", k)) for k, v in data["inputs"].items()},
        targets={k: _target(k, v, (*path, "targets", k)) for k, v in data["targets"].items()},
        columns={k: parse(v) for k, v in data["columns"].items()},
        weights={k: _weight(k, v, (*path, "weights", k)) for k, v in data["weights"].items()},
        split=_split(data["split"]),
        predict=_predict(data["predict"], (*path, "predict")),
        seed=data["seed"],
        raw=raw,
        path=path,
    )


def _optional(value: Any) -> Expression | None:
    return None if value is None else parse(value)


def _texts(value: str | list[str]) -> tuple[str, ...]:
    """One text or a list of them."""
    return (value,) if isinstance(value, str) else tuple(value)


def _pair(value: Any) -> tuple[float, float] | None:
    return None if value is None else (float(value[0]), float(value[1]))


def _layout(name: str, value: Plain, path: Path) -> LayoutSpec:
    return LayoutSpec(
        name=name,
        format=value["format"],
        tree=value["tree"],
        collections={k: _collection(k, v, (*path, "collections", k)) for k, v in value["collections"].items()},
        selections={k: _selection(k, v, (*path, "selections", k)) for k, v in value["selections"].items()},
        path=path,
    )


def _collection(name: str, value: Plain, path: Path) -> CollectionSpec:
    fields = {k: _field(k, v, (*path, k)) for k, v in value.items() if k not in COLLECTION_KEYS}
    return CollectionSpec(name, fields, value["owner"], value["slots"], _optional(value["exists"]), path)


def _field(name: str, value: str | Plain, path: Path) -> FieldSpec:
    if isinstance(value, str):
        return FieldSpec(name, value, None, None, None, path)
    expression = _optional(value.get("expression"))
    return FieldSpec(name, value.get("branch"), expression, value["default"], value["unit"], path)


def _selection(name: str, value: Plain, path: Path) -> SelectionSpec:
    return SelectionSpec(name, value["of"], parse(value["where"]), path)


def _rows(value: str | Plain, path: Path) -> RowsSpec:
    if isinstance(value, str):
        return RowsSpec(value, None, None, path)
    within = None if value["within"] is None else float(value["within"])
    return RowsSpec(value["nearest"], value["to"], within, path)


def _sample(name: str, value: Plain, path: Path) -> SampleSpec:
    return SampleSpec(
        name=name,
        files=_texts(value["files"]),
        layout=value["layout"],
        rows=_rows(value["rows"], (*path, "rows")),
        labels=_texts(value["label"]),
        weight=_optional(value["weight"]),
        constants={k: float(v) for k, v in value["constants"].items()},
        path=path,
    )


def _input(name: str, value: Plain, path: Path) -> InputSpec:
    text = None if value["text"] is None else TextSpec(value["text"], value["split"] or " ")
    features = {k: _feature(k, v, (*path, "features", k)) for k, v in value["features"].items()}
    return InputSpec(
        name=name,
        of=value["of"] or (text.field.partition(".")[0] if text is not None else ""),
        order=_optional(value["order"]),
        keep=value["keep"],
        where=_optional(value["where"]),
        relative_to=value["relative_to"],
        dtype=value["dtype"],
        features=features if text is None else {TOKEN: _token(value, path)},
        path=path,
        text=text,
    )


def _feature(name: str, value: Plain, path: Path) -> FeatureSpec:
    scale = value["scale"]
    return FeatureSpec(
        name=name,
        expression=_optional(value["expression"]),
        fraction_of=tuple(value["fraction_of"]),
        mirror=_optional(value["mirror"]),
        absolute=value["abs"],
        log1p=value["log1p"],
        clip="fit" if value["clip"] == "fit" else _pair(value["clip"]),
        scale="fit" if scale == "fit" else None if scale is None else float(scale),
        offset=float(value["offset"]),
        range=_pair(value["range"]),
        range_from=_pair(value["range_from"]),
        one_hot=_one_hot(value["one_hot"]),
        fill=float(value["fill"]),
        path=path,
        vocabulary=_vocabulary(value),
    )


def _token(value: Plain, path: Path) -> FeatureSpec:
    """The feature of the tokens of a text."""
    given = {"vocabulary": value["vocabulary"] or [], "unknown": value["unknown"]}
    return _feature(TOKEN, complete(given, "data.json#/$defs/feature"), path)


def _vocabulary(value: Plain) -> VocabularySpec | None:
    """The tokens as texts; the file that they come from has been read before."""
    tokens = value["vocabulary"]
    if tokens is None:
        return None
    return VocabularySpec(tuple(map(str, tokens)), value["unknown"] or "pad")


def _one_hot(value: Any) -> tuple[float, ...] | None:
    """The values that get a column; a whole number n stands for 0 .. n - 1."""
    if value is None:
        return None
    return tuple(float(each) for each in (range(value) if isinstance(value, int) else value))


def _target(name: str, value: Plain, path: Path) -> TargetSpec:
    classes, given = value["classes"], value["expression"]
    components = {str(i): each for i, each in enumerate(given)} if isinstance(given, list) else given
    vector = isinstance(components, dict)
    expressions = components.values() if vector else () if given is None else (given,)
    return TargetSpec(
        name=name,
        classes=dict.fromkeys(classes) if isinstance(classes, list) else {k: float(v) for k, v in classes.items()},
        expressions=tuple(parse(each) for each in expressions),
        components=tuple(components) if vector else (),
        valid=_optional(value["valid"]),
        unit=value["unit"],
        of=value["of"],
        pairs=value["pairs"],
        path=path,
    )


def _weight(name: str, value: Plain, path: Path) -> WeightSpec:
    return WeightSpec(
        name=name,
        of=value["of"],
        expression=_optional(value["expression"]),
        samples=tuple(value["samples"]),
        balance=value["balance"],
        reweight=value["reweight"],
        bins=tuple(float(edge) for edge in value["bins"]),
        to=value["to"],
        path=path,
    )


def _split(value: Plain) -> SplitSpec:
    return SplitSpec(tuple(value["by"]), float(value["train"]), float(value["validation"]), float(value["test"]))


def _predict(value: Plain | None, path: Path) -> PredictSpec | None:
    if value is None:
        return None
    constants = {k: float(v) for k, v in value["constants"].items()}
    return PredictSpec(_rows(value["rows"], (*path, "rows")), value["layout"], constants)
