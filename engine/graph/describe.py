"""What each block is, for `engine blocks` and docs/blocks.md; the words stand in the schema and in the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.graph.registry import CONTROL, primitive_blocks
from engine.graph.schema import WORDS, definitions, kinds, shown, value_schema
from engine.spec.build_model import build_model
from engine.spec.document import Document
from engine.spec.includes import read
from engine.spec.resources import folder
from engine.spec.sections.model import BlockParameter, BlockSpec
from engine.spec.suggest import hint

Explained = tuple[str, str, str, str]


@dataclass(frozen=True)
class Description:
    """A block in words.

    Attributes:
        name: as in a spec.
        kind: "primitive", "control" (it holds layers) or "written in YAML".
        title: a few words.
        meaning: one or two sentences.
        inputs: what it takes.
        mask: what becomes of the mask.
        shorthand: the parameter that a bare value stands for, "" for none.
        parameters: name, type, default ("required" where there is none) and meaning of each.
        file: what to include to use it, "" for nothing.
    """

    name: str
    kind: str
    title: str
    meaning: str
    inputs: str
    mask: str
    shorthand: str
    parameters: tuple[Explained, ...]
    file: str = ""


def descriptions() -> dict[str, Description]:
    """All blocks: primitives, those that hold layers, those written in YAML that come with the program."""
    found = [primitive(name) for name in sorted(primitive_blocks())]
    found += [control(name) for name in CONTROL]
    found += [in_yaml(spec, file) for file, specs in library().items() for spec in specs.values()]
    return {each.name: each for each in found}


def primitive(name: str) -> Description:
    """A primitive block."""
    kind, schema = primitive_blocks()[name], definitions()[name]
    return Description(
        name, "primitive", schema["title"], schema["description"], inputs_in_words(*kind.inputs, kind.arguments),
        kind.mask_rule, kind.shorthand or "", parameters(schema),
    )  # fmt: skip


def control(name: str) -> Description:
    """A block that holds layers."""
    schema = definitions()[name]
    return Description(
        name, "control", schema["title"], schema["description"], "What its layers take.", "That of its layers.",
        schema.get("shorthand", ""), parameters(schema),
    )  # fmt: skip


def in_yaml(spec: BlockSpec, file: str) -> Description:
    """A block written in YAML."""
    explained = tuple(yaml_parameter(each) for each in spec.parameters.values())
    several = len(spec.inputs) > 1
    inputs = f"By name: {', '.join(spec.inputs)}." if several else "One input."
    return Description(
        spec.name, "written in YAML", spec.description.rstrip("."), spec.description, inputs, "That of its layers.",
        next(iter(spec.parameters), ""), explained, file,
    )  # fmt: skip


def library() -> dict[str, Mapping[str, BlockSpec]]:
    """The blocks written in YAML that come with the program, by the file to include."""
    home = folder("specs")
    return {path.relative_to(home).as_posix(): read_library(path) for path in sorted((home / "blocks").glob("*.yaml"))}


def read_library(path: Path) -> Mapping[str, BlockSpec]:
    """The blocks of one file."""
    value = Document.from_tree(read(path), str(path), ()).value
    return build_model({"graph": {}}, value.get("blocks") or {}).blocks


def inputs_in_words(least: int, most: int | None, names: tuple[str, ...]) -> str:
    """How many inputs a block takes."""
    if most == 0:
        return "None: it is the first layer of a node without `from`."
    if most is None:
        return "One or more." if least < 2 else f"{least} or more."
    between = "or" if most == least + 1 else "to"
    count = "One input." if least == most == 1 else f"{least} {between} {most} inputs."
    return f"{count[:-1]}: {', '.join(f'`{name}`' for name in names)}." if names else count


def parameters(schema: Mapping[str, Any]) -> tuple[Explained, ...]:
    """The parameters of a definition of blocks.json."""
    required = schema.get("required", [])
    return tuple(
        (
            name,
            type_in_words(value_schema(each)),
            "required" if name in required else shown(each.get("default")),
            each["description"],
        )
        for name, each in schema["properties"].items()
    )


def type_in_words(schema: Mapping[str, Any]) -> str:
    """What a value may be."""
    if "enum" in schema:
        return ", ".join("null" if value is None else str(value) for value in schema["enum"])
    if "$ref" in schema:
        return "layers"
    words = " or ".join(WORDS[kind].removeprefix("a ") for kind in kinds(schema)) or "anything"
    return words + limits(schema)


def limits(schema: Mapping[str, Any]) -> str:
    """The bounds of a number that are worth saying."""
    parts = []
    for keyword, sense in (("minimum", ">="), ("exclusiveMinimum", ">"), ("exclusiveMaximum", "<")):
        if keyword in schema:
            parts.append(f"{sense} {schema[keyword]}")
    return f", {' and '.join(parts)}" if parts else ""


def yaml_parameter(parameter: BlockParameter) -> Explained:
    """A parameter of a block written in YAML."""
    kind = {"list": "array"}.get(parameter.type, parameter.type)
    limit = f", >= {parameter.minimum}" if parameter.minimum is not None else ""
    default = "required" if parameter.required else shown(parameter.default)
    return parameter.name, WORDS[kind].removeprefix("a ") + limit, default, parameter.description


def list_blocks() -> str:
    """All blocks, a line each."""
    found = descriptions()
    width = max(map(len, found))
    lines: list[str] = []
    for kind in ("primitive", "control", "written in YAML"):
        heading = {"control": "blocks that hold layers", "primitive": "primitive blocks"}.get(kind, f"blocks {kind}")
        lines += [
            heading,
            *(f"  {each.name:{width}}  {each.title}" for each in found.values() if each.kind == kind),
            "",
        ]
    lines.append("`engine blocks NAME` tells about one of them.")
    return "\n".join(lines)


def describe_block(name: str) -> str:
    """One block with its parameters.

    Raises:
        UsageError: there is no such block.
    """
    found = descriptions()
    if name not in found:
        message = f"there is no block `{name}`{hint(name, found)}"
        raise UsageError(message)
    block = found[name]
    lines = [f"{block.name}: {block.title}", block.meaning] if block.meaning.rstrip(".") != block.title else [
        f"{block.name}: {block.meaning}"
    ]  # fmt: skip
    if block.file:
        lines.append(f"Written in YAML; use it with `include: {block.file}`.")
    lines += [f"Inputs: {block.inputs}", f"Mask: {block.mask}"]
    if block.shorthand:
        lines.append(f"`{block.name}: value` is short for `{block.name}: {{{block.shorthand}: value}}`.")
    for parameter, kind, default, meaning in block.parameters:
        lines += ["", f"  {parameter} ({kind}; {default if default == 'required' else f'default {default}'})"]
        lines.append(f"      {meaning}")
    return "\n".join(lines)
