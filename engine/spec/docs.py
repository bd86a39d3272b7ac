"""docs/spec.md out of the schemas: `python -m engine.spec.docs` writes it, a test holds both equal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.spec.expressions import CONSTANTS, FUNCTIONS, Function
from engine.spec.schema import ROOT, Fragment, kinds, lookup, schemas

INTRODUCTION = """\
# The spec

Made from the schemas by `python -m engine.spec.docs`; a change belongs into `schemas/`.

A spec is one YAML file: one experiment. `engine validate` tells every mistake of it at once, each with line and column;
what cannot be judged before one of them is mended (what uses a node that is itself wrong) is told after that.

- Numbers and words are those of YAML 1.2: `8e-4` is a number, `on` and `yes` are texts.
- A key stands once in a mapping, and unknown keys are mistakes. There are no tags. Anchors, aliases and merge keys
  (`&name`, `*name`, `<<: *name`) work within a file.
- `include: file.yaml` (or a list of files) merges other files in, mapping by mapping; what the including file says
  wins. Names are relative to the including file, or those of files that come with the program.
- `--set training.epochs=5` on the command line replaces a value; items of lists are counted from 0:
  `--set training.updates.0.repeat=3`.
- Where a number is expected in `data`, `1/500`, `2 * pi` or `inf` may be written too.
"""

EXPRESSIONS = """\
## Expressions

Conditions and formulas are a small language of their own, nothing of Python is evaluated. From loose to tight: `or`,
`and`, `not`, comparisons (`< <= > >= == !=`, chained as in `1 < pt < 5`) and `in [1, 2]`, `+ -`, `* / %`, unary `-`,
`**`. {constants} are constants. Which names may be used depends on the place:

| where | names |
|---|---|
| `exists` and `expression` of a collection | branches of the file; `{{i}}` in a name is the number of the slot |
| `where` of a selection | fields of the objects |
| `order`, `where`, features of an input | fields of the objects, and all names of the row |
| `columns`, `weight` of a sample, `expression` of a weight, targets | names of the row |
| targets `of` an input | as features of that input |
| targets of `pairs` | `left.pt` and `right.pt`, fields of the two objects, and names of the row |
| `minimize` of an update | losses, with `+ - * /` and numbers alone |

All values are of 64-bit floating point, which holds whole numbers up to 2**53 exactly. Larger ones, such as identities
of 64 bits, are exact where the name stands alone in `columns` (and so in `split`); their `%` and `bit` are refused.

Names of the row: `jets.pt` (a field of the row's own object), `event.run` (of a collection with one value an entry),
`constants.mH` (of the sample, 0 where it has none), `matched.pt` (of the object that the row was matched to, 0 without
one), and reductions of the objects that belong to the row: `sum(clusters.pt)`, `count(clusters)`.

| function | values | meaning |
|---|---|---|
"""

LAYERS = "blocks.json#/$defs/"

_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true, false",
    "array": "list",
    "object": "mapping",
}
_FORMATS = {"expression": "expression", "constant": "number", "constant-or-fit": "number or `fit`", "fit": "`fit`"}


def manual() -> str:
    """The whole text of docs/spec.md."""
    return "\n".join([INTRODUCTION, _expressions(), *(_section(path, fragment) for path, fragment in _sections())])


def _expressions() -> str:
    constants = ", ".join(f"`{name}`" for name in CONSTANTS)
    rows = [f"| `{name}` | {_arity(function)} | {function.meaning} |" for name, function in FUNCTIONS.items()]
    return EXPRESSIONS.format(constants=constants) + "\n".join(rows) + "\n"


def _arity(function: Function) -> str:
    least, most = function.arity
    count = f"{least}" if least == most else f"{least} or more"
    return f"{count}, of each object" if function.of_objects else count


def _sections() -> Iterator[tuple[str, Fragment]]:
    """Every mapping of the language: where it stands, and its schema. Each schema once."""
    waiting: list[tuple[str, Fragment]] = [("", schemas()[ROOT])]
    seen: set[int] = set()
    while waiting:
        path, fragment = waiting.pop(0)
        layer = fragment.get("$ref", "").startswith(LAYERS)
        path = f"layers[].{fragment['$ref'].removeprefix(LAYERS)}" if layer else path
        fragment = _resolved(fragment)
        if id(fragment) in seen:
            continue
        seen.add(id(fragment))
        if fragment.get("properties") or layer:
            yield path, fragment
        waiting[:0] = list(_inner(path, fragment))


def _inner(path: str, fragment: Fragment) -> Iterator[tuple[str, Fragment]]:
    """The schemas directly below a schema."""
    dot = f"{path}." if path else ""
    for key, inner in fragment.get("properties", {}).items():
        yield f"{dot}{key}", inner
    if isinstance(fragment.get("additionalProperties"), dict):
        yield f"{dot}<name>", fragment["additionalProperties"]
    if isinstance(fragment.get("items"), dict):
        yield f"{path}[]", fragment["items"]
    if "kinds" in fragment:
        for name, inner in kinds(fragment["kinds"]).items():
            yield f"{dot}{name}", inner
    if isinstance(fragment.get("else"), dict):
        yield path, fragment["else"]


def _resolved(fragment: Fragment) -> Fragment:
    while "$ref" in fragment:
        fragment = lookup(fragment["$ref"])
    return fragment


def _section(path: str, fragment: Fragment) -> str:
    title = f"## `{path}`" if path else "## The whole"
    lines = [title if "." not in path else f"#{title}", "", fragment.get("description", "")]
    if "shorthand" in fragment:
        lines[-1] += f" A bare value stands for `{fragment['shorthand']}`."
    properties = fragment.get("properties", {})
    if properties:
        lines += ["", "| key | value | default | meaning |", "|---|---|---|---|"]
        lines += [_row(key, inner, fragment) for key, inner in properties.items()]
    return "\n".join(lines) + "\n"


def _row(key: str, inner: Fragment, fragment: Fragment) -> str:
    target = _resolved(inner)
    needed = fragment.get("required", fragment.get("then", {}).get("required", ()))
    default = "needed" if key in needed else _default(inner if "default" in inner else target)
    meaning = str(inner.get("description", target.get("description", "")))
    return f"| `{key}` | {_value(target)} | {default} | {meaning.replace('|', chr(92) + '|')} |"


def _default(fragment: Fragment) -> str:
    return _shown(fragment["default"]) if "default" in fragment else ""


def _shown(value: Any) -> str:
    """A default as it would be written in YAML."""
    words = {None: "none", True: "`true`", False: "`false`"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, list | dict) and not value:
        return "none"
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}`"
    return f"`{value}`".replace("'", "")


def _value(fragment: Fragment) -> str:
    """What may stand there, in a few words."""
    if "enum" in fragment:
        return ", ".join(f"`{each}`" for each in fragment["enum"] if each is not None)
    if "kinds" in fragment:
        return "one of: " + ", ".join(f"`{name}`" for name in kinds(fragment["kinds"]))
    if "anyOf" in fragment:
        return " or ".join(dict.fromkeys(_value(each) for each in fragment["anyOf"] if each != {"type": "null"}))
    if isinstance(fragment.get("else"), dict) and "type" not in fragment:
        return _value(_resolved(fragment["else"]))
    if "const" in fragment:
        return f"`{fragment['const']}`"
    if fragment.get("format") in _FORMATS and fragment["format"] != "fit":
        return _FORMATS[fragment["format"]]
    types = fragment.get("type", [])
    names = [_TYPES[each] for each in ([types] if isinstance(types, str) else types) if each != "null"]
    return " or ".join(names) + _limits(fragment)


def _limits(fragment: Fragment) -> str:
    words = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {fragment[key]}" for key, sign in words.items() if key in fragment]
    return f", {' and '.join(limits)}" if limits else ""


if __name__ == "__main__":
    target = Path(__file__).resolve().parent.parent.parent / "docs" / "spec.md"
    target.write_text(manual(), encoding="utf-8")
