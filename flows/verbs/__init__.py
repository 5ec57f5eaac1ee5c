"""One file a verb: its keys, its part of the JSON Schema, and how it is read into a plan.

`read(reading, node, visible, id)` returns the body, the ids certain to have run behind the step, and the ids that
may have run.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from flows.context import Reading, Visible
from flows.nodes import Node

SHORT_DURATION = r"(\d+(\.\d+)?(ms|s|m|h|d|w))+"
_PART = r"\d+(\.\d+)?"
_ISO = rf"P(?=[\dT])({_PART}W)?({_PART}D)?(T(?=\d)({_PART}H)?({_PART}M)?({_PART}S)?)?"
DURATION = rf"\s*({SHORT_DURATION}|{_ISO})\s*"
"""Patterns of what `parse_duration` reads."""
EXPRESSION: dict[str, Any] = {"type": ["string", "boolean", "number"], "description": "an expression"}
STEPS: dict[str, Any] = {"$ref": "#/$defs/steps"}
ANYTHING: dict[str, Any] = {"description": "data; ${{ … }} inside is computed"}


class Read(NamedTuple):
    body: Any
    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()


class VerbReader(Protocol):
    """One that needs other keys beside the verb has them as `REQUIRED`."""

    VERB: str
    SCHEMA: dict[str, Any]

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read: ...
