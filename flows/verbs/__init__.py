"""One file a verb: how its steps are read into a plan. How they are walked stands under the same names in
`reactor/engine/steps`; `reactor.contracts.plan.BODIES` lists all verbs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from flows.context import Reading
from flows.nodes import Node
from flows.visible import Visible
from reactor.contracts import plan

JsonSchema = dict[str, Any]
Keys = Mapping[str, JsonSchema]

SHORT_DURATION = r"(\d+(\.\d+)?(ms|s|m|h|d|w))+"
_PART = r"\d+(\.\d+)?"
_ISO = rf"P(?=[\dT])({_PART}W)?({_PART}D)?(T(?=\d)({_PART}H)?({_PART}M)?({_PART}S)?)?"
DURATION = rf"\s*({SHORT_DURATION}|{_ISO})\s*"
"""Patterns of what `parse_duration` reads."""
EXPRESSION: JsonSchema = {"type": ["string", "boolean", "number"], "description": "an expression"}
STEPS: JsonSchema = {"$ref": "#/$defs/steps"}
ANYTHING: JsonSchema = {"description": "data; ${{ … }} inside is computed"}


class Read(NamedTuple):
    """What a verb's own keys say, and the ids certain, and possible, to have run inside the step at its end."""

    body: plan.Body
    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()


class Verb(ABC):
    """How a verb is read. One object serves all steps: it has no state."""

    name: ClassVar[str]
    """The key that makes a step one of this verb."""
    keys: ClassVar[Keys]
    """The keys of its steps, the verb first, with the JSON Schema of each for editors. What any step may have comes
    from `flows.steps.COMMON`."""
    required: ClassVar[tuple[str, ...]] = ()
    """Those that must stand beside the verb."""
    loops: ClassVar[bool] = False
    """Its steps run in turns: what has run inside is not seen outside."""
    ends: ClassVar[bool] = False
    """No step behind it in its block is reached."""
    acts: ClassVar[bool] = False
    """It performs an action, so that `repeat` belongs to it."""

    @abstractmethod
    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        """Reads the verb's own keys. `node` is the whole step, `id` its id; problems go to `reading.report`."""

    def usual_retry(self, reading: Reading, body: plan.Body) -> plan.Retry | None:
        """The retry of a step that says nothing of it."""
        return None

    def keys_with(self, actions: Sequence[str]) -> Keys:
        """`keys` where the names of all actions are known."""
        return self.keys
