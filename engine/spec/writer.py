"""Plain values to YAML text that YAML 1.1 and 1.2 read alike."""

from __future__ import annotations

import re
from typing import Any

import yaml

from engine.spec.scalars import FLOAT, INTEGER


class _Writer(yaml.SafeDumper):
    """Quotes every text that either version of YAML would take for something else; writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_STARTS = list("-+.0123456789")
_Writer.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{FLOAT.pattern})$"), _STARTS)
_Writer.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"^(?:{INTEGER.pattern})$"), _STARTS)


def _float(writer: _Writer, value: float) -> yaml.ScalarNode:
    text = {"inf": ".inf", "-inf": "-.inf"}.get(repr(value), repr(value))
    if "e" in text and "." not in text:  # 1e-05 is text in YAML 1.1
        text = text.replace("e", ".0e", 1)
    return writer.represent_scalar("tag:yaml.org,2002:float", text)


_Writer.add_representer(float, _float)


def to_yaml(value: Any) -> str:
    """Mappings, lists and plain values as YAML text, keys in their order."""
    text: str = yaml.dump(
        value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return text
