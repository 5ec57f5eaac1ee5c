"""Whether what an expression reads exists at its place (check 3 of the flow language)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.expressions import hints
from flows.expressions.access import path_text
from flows.expressions.source import hyphen_hint
from flows.problems import suggest

if TYPE_CHECKING:
    from flows.context import Reading, Visible
    from flows.nodes import Node

RUN_FIELDS = ("id", "flow", "version", "started", "attempt", "trigger", "scheduled_at")
ERROR_FIELDS = ("type", "message", "status", "step", "attempt", "retryable", "details")


def check_reads(reading: Reading, compiled: Any, node: Node, offset: int, visible: Visible) -> None:
    for path, (column, guarded) in sorted(compiled.columns.items(), key=lambda item: item[1][0]):
        message = _problem(reading, path, guarded, visible)
        if message:
            hint = hyphen_hint(compiled.source, path[-1])
            reading.problem(node, message + hint, offset=offset + column)


def _problem(reading: Reading, path: tuple[str, ...], guarded: bool, visible: Visible) -> str | None:
    from flows.context import LATER_ROOTS, ROOTS

    root = path[0]
    if root == "secrets":
        if not visible.secrets:
            return "secrets may stand only in `with` of a call, in `verify` and in connections"
        if len(path) > 1:
            reading.secrets.add(path[1])
            exists = reading.kinds.secret_exists
            if exists is not None and not exists(path[1]):
                return no_secret(path[1])
        return None
    if root in visible.names or root in reading.trigger_ids:
        if root == "error" and len(path) > 1 and path[1] not in ERROR_FIELDS and not guarded:
            return f"error has no field {path[1]}{suggest(path[1], ERROR_FIELDS)}"
        return None
    if root in LATER_ROOTS:
        return f"`{root}` is not in this version of Reactor"
    if root not in ROOTS:
        known = [*ROOTS, *sorted(visible.names), *sorted(reading.trigger_ids)]
        if root in ("item", "index", "key"):
            return f"{root} exists only inside the turns of a loop"
        if root == "error":
            return "error exists only in on_error, finally and retry.if"
        hint = hints.NAMES.get(root)
        return f"there is no name {root}" + (f"; {hint}" if hint else suggest(root, known))
    if len(path) == 1:
        return None
    if root == "steps":
        return _step_problem(reading, path, guarded, visible)
    if root == "vars" and path[1] not in reading.var_names and not guarded:
        return f"nothing in this flow sets vars.{path[1]}{suggest(path[1], sorted(reading.var_names))}"
    if root == "env":
        reading.environment.add(path[1])
    if root == "run" and path[1] not in RUN_FIELDS and not guarded:
        return f"run has no field {path[1]}{suggest(path[1], RUN_FIELDS)}"
    if root in ("event", "trigger", "inputs") and reading.schema_fields is not None and not guarded:
        start = 1 if root == "inputs" else 2
        if root == "inputs" or path[1] in ("data", "body"):
            return _schema_problem(reading.schema_fields, path, start)
    return None


def no_secret(name: str) -> str:
    return (
        f"there is no secret {name}; set it as the environment variable REACTOR_SECRET_{name.upper()}"
        f" or as the file {name} in the secrets directory (--secrets DIR, /run/secrets)"
    )


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


def _step_problem(reading: Reading, path: tuple[str, ...], guarded: bool, visible: Visible) -> str | None:
    id = path[1]
    if id in visible.certain:
        fields = reading.results.get(id)
        if fields is not None and len(path) > 2 and path[2] not in fields and not guarded:
            return f"the result of {id} has no field {path[2]}{suggest(path[2], fields)}"
        return None
    if id not in reading.all_ids:
        return f"there is no step {id}{suggest(id, sorted(reading.all_ids))}"
    if id in visible.possible or visible.anywhere:
        if guarded:
            return None
        return f"the step {id} is not certain to have run; write default(steps.{id}…, …) or has(steps.{id})"
    if id in reading.loop_ids:
        return f"the step {id} stands inside a loop (or a branch); its result is not seen from here"
    return f"the step {id} comes later, or in another branch"
