"""Vocabularies and texts: what an input is made of, keys that only make sense for a text, codes that fit their type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.errors import Mistake
from engine.spec.checks.names import View
from engine.spec.sections import DataSpec, FeatureSpec, InputSpec, TextSpec
from engine.spec.suggest import hint
from engine.spec.vocabularies import as_number

LARGEST_CODE = {
    "float32": 2**24,
    "float16": 2**11,
    "int8": 2**7 - 1,
    "uint8": 2**8 - 1,
    "int16": 2**15 - 1,
    "uint16": 2**16 - 1,
    "int32": 2**24,  # a network gets its codes as float32
}
"""The largest whole number up to which a type has them all."""

_OF_TEXT = ("split", "vocabulary", "unknown")
_OF_OBJECTS = ("order", "where", "relative_to", "features")
_OF_CODES = ("expression", "vocabulary", "unknown")


def check_vocabularies(data: DataSpec, views: Iterable[View]) -> Iterator[Mistake]:
    """Mistakes of texts and vocabularies."""
    for spec in data.inputs.values():
        given = data.raw["inputs"][spec.name]
        yield from _keys(spec, given)
        if spec.text is not None:
            for view in views:
                yield from _field(spec, spec.text, view)
        for feature in spec.features.values():
            yield from _feature(feature, spec, given)


def _keys(spec: InputSpec, given: Mapping[str, Any]) -> Iterator[Mistake]:
    """What an input is of, and keys that go with it."""
    if spec.text is None:
        if not spec.of:
            yield Mistake(spec.path, f"`{spec.name}` needs `of`, a collection, or `text`, such as `event.decay`")
        elif not spec.features:
            yield Mistake(spec.path, f"`{spec.name}` needs `features`")
        for key in (key for key in _OF_TEXT if given.get(key) is not None):
            where = f"; of a feature, write it there: `features: {{x: {{{key}: ...}}}}`" if key != "split" else ""
            yield Mistake((*spec.path, key), f"`{key}` of an input is for a `text`{where}", of_key=True)
        return
    if given.get("of") is not None:
        yield Mistake((*spec.path, "of"), "`of` and `text` exclude each other; keep one of them", of_key=True)
    for key in (key for key in _OF_OBJECTS if given.get(key)):
        message = f"`{key}` is for objects of a collection; those of a text are its tokens"
        yield Mistake((*spec.path, key), message, of_key=True)
    if given.get("vocabulary") is None:
        yield Mistake(spec.path, f"`{spec.name}` is a text and needs a `vocabulary`, the tokens that have a code")
    if spec.keep is None:
        yield Mistake(spec.path, f"`{spec.name}` is a text and needs `keep`, the largest number of tokens of a row")


def _field(spec: InputSpec, text: TextSpec, view: View) -> Iterator[Mistake]:
    """Whether a row has the field."""
    name, dot, field = text.field.partition(".")
    path = (*spec.path, "text")
    collection = view.layout.collections.get(name)
    if not dot:
        yield Mistake(path, f"write the text field as <collection>.<field>, as in `event.{name}`")
    elif collection is None:
        yield Mistake(path, f"there is no collection `{name}`{hint(name, view.layout.collections)}")
    elif field not in collection.fields:
        yield Mistake(path, f"`{name}` has no field `{field}`{hint(field, collection.fields)}")
    elif view.has_several(name):
        yield Mistake(path, f"a row has several `{name}`, and a text input is made of one text a row")


def _feature(feature: FeatureSpec, spec: InputSpec, given: Mapping[str, Any]) -> Iterator[Mistake]:
    """The vocabulary of a feature, or a key that needs one."""
    is_text = spec.text is not None
    unknown = given.get("unknown") if is_text else given["features"][feature.name].get("unknown")
    if feature.vocabulary is None:
        if unknown is not None:
            message = "`unknown` says what becomes of tokens that a `vocabulary` has not got, which is missing"
            yield Mistake((*feature.path, "unknown"), message, of_key=True)
        return
    if feature.vocabulary.unknown == "skip" and not is_text:
        message = "`skip` is for the tokens of a text: an object cannot lose a feature; write pad, own or stop"
        yield Mistake((*feature.path, "unknown"), message)
    yield from _tokens(feature, spec)
    settings = {} if is_text else given["features"][feature.name]
    for key in (key for key in settings if key not in _OF_CODES):
        message = f"`{key}` would act on codes, which are no quantities; leave it out, or the `vocabulary`"
        yield Mistake((*feature.path, key), message, of_key=True)
    largest = feature.vocabulary.size - 1
    if largest > LARGEST_CODE[spec.dtype]:
        fitting = [name for name in ("uint8", "uint16", "int32") if largest <= LARGEST_CODE[name]]
        advice = f"write `dtype: {fitting[0]}`" if fitting else "no type of the prepared data does"
        message = f"the codes of `{feature.name}` go up to {largest}, which {spec.dtype} does not hold; {advice}"
        yield Mistake((*spec.path, "dtype"), message)


def _tokens(feature: FeatureSpec, spec: InputSpec) -> Iterator[Mistake]:
    """Tokens that are there twice, or that no text can hold."""
    path = (*feature.path, "vocabulary")
    tokens = feature.vocabulary.tokens if feature.vocabulary is not None else ()
    twice = [token for token, count in Counter(tokens).items() if count > 1]
    if twice:
        yield Mistake(path, f"the token `{twice[0]}` is in the vocabulary twice, so it would have two codes")
    if spec.text is None:
        numbers = Counter(number for number in map(as_number, tokens) if number is not None)
        same = [number for number, count in numbers.items() if count > 1] if not twice else []
        if same:
            yield Mistake(path, f"the number {same[0]:g} is in the vocabulary twice, so it would have two codes")
        return
    lost = next((token for token in tokens if not token or spec.text.split in token), None)
    if lost is not None:
        message = f"the token `{lost}` cannot come out of a text that is split at `{spec.text.split}`"
        yield Mistake(path, message)
