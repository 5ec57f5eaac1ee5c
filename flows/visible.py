"""What names are visible where: the names that a whole flow has, those that one place sees, and the check that what an
expression reads is among them."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flows.expressions import hints
from flows.expressions.access import path_text
from flows.nodes import Node
from flows.problems import suggest
from flows.report import Report
from flows.uses import Uses

ROOTS = ("event", "trigger", "steps", "vars", "inputs", "run", "env", "events")
LATER_ROOTS = {"remembered": "remember"}
RUN_FIELDS = ("id", "flow", "version", "started", "attempt", "trigger", "scheduled_at")
ERROR_FIELDS = ("type", "message", "status", "step", "attempt", "retryable", "details")
TURN_NAMES = ("item", "index", "key")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ID = re.compile(r"[a-z][a-z0-9_]*")

SecretExists = Callable[[str], bool]


@dataclass(frozen=True)
class Visible:
    """What expressions may name at a place of the flow."""

    certain: frozenset[str] = frozenset()
    """Ids of steps that have run whenever this place is reached."""
    possible: frozenset[str] = frozenset()
    """Ids of steps that may have run."""
    names: frozenset[str] = frozenset()
    """Names beside the roots, such as `item` and `error`."""
    secrets: bool = False
    anywhere: bool = False
    """In `on_error` and `finally`: every step may have run, none is certain."""
    turns_at_once: bool = False
    """Inside turns that run at once: variables of the flow cannot be written."""

    def plus(self, *names: str) -> Visible:
        return replace(self, names=self.names | set(names))

    def after(self, certain: frozenset[str], possible: frozenset[str]) -> Visible:
        """Behind steps of which some have run for certain, and some may have."""
        if not certain and not possible:
            return self
        return Visible(
            self.certain | certain,
            self.possible | possible,
            self.names,
            self.secrets,
            self.anywhere,
            self.turns_at_once,
        )


@dataclass
class StepIds:
    """The ids of a flow's steps."""

    written: dict[str, Node] = field(default_factory=dict)
    """All ids, wherever they stand, with the first place of each."""
    in_loops: set[str] = field(default_factory=set)
    taken: dict[str, Node] = field(default_factory=dict)
    """Those met before the present place; arms of which one runs may take the same id."""
    result_fields: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    """By the ids of calls: the fields of the result, None where the action does not say."""


@dataclass
class FlowNames:
    """What is named in a whole flow, known before its expressions are checked."""

    steps: StepIds = field(default_factory=StepIds)
    variables: set[str] = field(default_factory=set)
    """All that `vars` and `set` write."""
    shared_variables: set[str] = field(default_factory=set)
    """Those of them that are not local to turns which run at once."""
    triggers: frozenset[str] = frozenset()
    """Ids of triggers: each is a name for the event."""
    event_schema: Any = None
    """The JSON Schema of the one trigger's `accepts` or `inputs`, as data; None where there is none, or several
    triggers."""


def is_name(report: Report, node: Node, name: str, what: str) -> bool:
    """Whether `what` (`the id`, `as`) may be called so; reports it when not."""
    if not _ID.fullmatch(name) or keyword.iskeyword(name):
        report.problem(node, f"{what} {name!r} must match [a-z][a-z0-9_]* and be no keyword")
        return False
    if what == "as" and name in ROOTS:
        report.problem(node, f"`as: {name}` would hide the name {name}")
        return False
    return True


def no_secret(name: str) -> str:
    """The problem of a secret that nobody set."""
    return (
        f"there is no secret {name}; set it as the environment variable REACTOR_SECRET_{name.upper()}"
        f" or as the file {name} in the secrets directory (--secrets DIR, /run/secrets)"
    )


def read_problem(
    path: tuple[str, ...],
    guarded: bool,
    visible: Visible,
    names: FlowNames,
    uses: Uses,
    secret_exists: SecretExists | None,
) -> str | None:
    """Why a path cannot be read at a place, or None. Notes the secrets and the environment that it uses. `guarded`
    stands in `default` or `has`, where what may be missing is fine."""
    root = path[0]
    if root == "secrets":
        if not visible.secrets:
            return "secrets may stand only in `with` of a call, in `verify` and in connections"
        if len(path) > 1:
            uses.secrets.add(path[1])
            if secret_exists is not None and not secret_exists(path[1]):
                return no_secret(path[1])
        return None
    if root in visible.names or root in names.triggers:
        if root == "error" and len(path) > 1 and path[1] not in ERROR_FIELDS and not guarded:
            return f"error has no field {path[1]}{suggest(path[1], ERROR_FIELDS)}"
        return None
    if root in LATER_ROOTS:
        return f"`{root}` is not in this version of Reactor"
    if root not in ROOTS:
        return _no_name(root, visible, names)
    if len(path) == 1:
        return None
    if root == "steps":
        return _step_problem(path, guarded, visible, names.steps)
    if root == "vars" and path[1] not in names.variables and not guarded:
        return f"nothing in this flow sets vars.{path[1]}{suggest(path[1], sorted(names.variables))}"
    if root == "env":
        uses.environment.add(path[1])
    if root == "run" and path[1] not in RUN_FIELDS and not guarded:
        return f"run has no field {path[1]}{suggest(path[1], RUN_FIELDS)}"
    if root in ("event", "trigger", "inputs") and names.event_schema is not None and not guarded:
        start = 1 if root == "inputs" else 2
        if root == "inputs" or path[1] in ("data", "body"):
            return _schema_problem(names.event_schema, path, start)
    return None


def _no_name(root: str, visible: Visible, names: FlowNames) -> str:
    if root in TURN_NAMES:
        return f"{root} exists only inside the turns of a loop"
    if root == "error":
        return "error exists only in on_error, finally and retry.if"
    hint = hints.NAMES.get(root)
    known = [*ROOTS, *sorted(visible.names), *sorted(names.triggers)]
    return f"there is no name {root}" + (f"; {hint}" if hint else suggest(root, known))


def _schema_problem(schema: Any, path: tuple[str, ...], start: int) -> str | None:
    for position in range(start, len(path)):
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            return None
        properties = schema["properties"]
        if path[position] not in properties:
            if schema.get("additionalProperties", True) is not False:
                return None
            where = path_text(path[:position])
            return f"{where} has no field {path[position]} by its schema{suggest(path[position], properties)}"
        schema = properties[path[position]]
    return None


def _step_problem(path: tuple[str, ...], guarded: bool, visible: Visible, steps: StepIds) -> str | None:
    id = path[1]
    if id in visible.certain:
        fields = steps.result_fields.get(id)
        if fields is not None and len(path) > 2 and path[2] not in fields and not guarded:
            return f"the result of {id} has no field {path[2]}{suggest(path[2], fields)}"
        return None
    if id not in steps.written:
        return f"there is no step {id}{suggest(id, sorted(steps.written))}"
    if id in visible.possible or visible.anywhere:
        if guarded:
            return None
        return f"the step {id} is not certain to have run; write default(steps.{id}…, …) or has(steps.{id})"
    if id in steps.in_loops:
        return f"the step {id} stands inside a loop (or a branch); its result is not seen from here"
    return f"the step {id} comes later, or in another branch"
