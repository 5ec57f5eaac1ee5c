"""What names a flow has, wherever they stand: known before anything is checked against them."""

from __future__ import annotations

from flows.blocks import DATA_KEYS, turns_at_once
from flows.nodes import Node
from flows.verbs.table import VERBS
from flows.visible import FlowNames


def survey(names: FlowNames, document: Node) -> None:
    """Collects step ids, variables and the ids of triggers."""

    def steps(node: Node | None, loop: bool, turns: bool) -> None:
        if node is None:
            return
        if node.kind == "list":
            for item in node.items:
                steps(item, loop, turns)
        elif node.kind == "map":
            verbs = [key for key in node.entries if key in VERBS]
            inner = loop or any(VERBS[verb].loops for verb in verbs)
            local = turns or turns_at_once(node)
            id = node.get("id")
            if verbs and id is not None and isinstance(id.value, str):
                names.steps.written.setdefault(id.value, id)
                if loop:
                    names.steps.in_loops.add(id.value)
            for key, (_, value) in node.entries.items():
                if key == "set" and value.kind == "map":
                    names.variables |= set(value.entries)
                    if not local:
                        names.shared_variables |= set(value.entries)
                elif key != "id" and key not in DATA_KEYS:
                    steps(value, inner, local)

    for key in ("do", "on_error", "finally"):
        steps(document.get(key), False, False)
    variables = document.get("vars")
    if variables is not None and variables.kind == "map":
        names.variables |= set(variables.entries)
        names.shared_variables |= set(variables.entries)
    names.triggers = _trigger_ids(document.get("when"))


def _trigger_ids(node: Node | None) -> frozenset[str]:
    """The ids of all triggers, which are names in expressions."""
    entries = node.items if node is not None and node.kind == "list" else [node] if node is not None else []
    ids = [entry.get("id") for entry in entries if entry is not None and entry.kind == "map"]
    return frozenset(str(id.value) for id in ids if id is not None and isinstance(id.value, str))
