"""`call: action.name` with `with:`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from flows.context import Reading
from flows.nodes import Node
from flows.options import check_options
from flows.problems import suggest
from flows.report import Report
from flows.verbs import ANYTHING, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan
from reactor.contracts.kinds import AnyAction
from reactor.kit.roots import needs_root


class Call(Verb):
    name = "call"
    keys: ClassVar[Keys] = {"call": {"type": "string", "description": "runs an action"}, "with": ANYTHING}

    acts = True

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        name = reading.report.text(node.get("call"), "call")
        arguments_node = node.get("with") or Node("map", node.line, node.column)
        arguments = reading.computed.template(arguments_node, replace(visible, secrets=True))
        repeat = "keyed"
        if name is not None:
            at = node.get("call") or node
            if name not in reading.kinds.actions.names():
                hint = suggest(name, reading.kinds.actions.names()) or "; `reactor actions` lists them"
                reading.report.problem(at, f"there is no action {name}{hint}")
            else:
                action = reading.kinds.actions.get(name)
                repeat = action.repeat
                reading.uses.actions.append(name)
                if action.needs is not None and action.needs not in reading.kinds.allow:
                    reading.report.problem(
                        at,
                        f"{name} is not allowed by this daemon's configuration; start it with --allow {action.needs}"
                        f" (or REACTOR_ALLOW={action.needs})",
                    )
                check_options(reading.report, action.Options, arguments_node, f"{name}", templates=True)
                for key in action.literal_options:
                    for found in _at(arguments_node, key.split(".")):
                        _written_out(reading.report, found, f"{key} of {name}")
                reading.uses.connection(reading.report, action, arguments_node, name)
                reading.uses.collection(action, arguments_node)
                _rooted(reading, action, arguments_node, arguments)
                if id is not None:
                    reading.names.steps.result_fields[id] = action.result_fields
        own = node.get("repeat")
        if own is not None:
            repeat = reading.report.choice(own, "repeat", ("safe", "keyed", "never"), repeat)
        return Read(plan.Call(name or "", arguments, repeat))

    def usual_retry(self, reading: Reading, body: plan.Body) -> plan.Retry | None:
        """What the action brings."""
        if not isinstance(body, plan.Call) or body.action not in reading.kinds.actions.names():
            return None
        waits = reading.kinds.actions.get(body.action).retry_waits
        return plan.Retry(len(waits), waits=waits) if waits else None

    def keys_with(self, actions: Sequence[str]) -> Keys:
        return {**self.keys, "call": {"enum": actions, "description": self.keys["call"]["description"]}}


def _rooted(reading: Reading, action: type[AnyAction], node: Node, arguments: plan.Template) -> None:
    """Reports paths of which nothing says where they may point. Those inside of lists are judged when the step runs."""
    for key in action.path_options:
        front = arguments.fronts.get(key)
        reads = key in action.reading_options
        if key not in action.literal_options and needs_root(front, reads, reading.kinds.file_root):
            reading.report.problem(
                node.get(key) or node,
                f"{key} begins with an expression, so nothing says where it may point; write a folder in"
                " front, or start the daemon with --file-root DIR",
            )


def _at(node: Node, keys: list[str]) -> Iterator[Node]:
    """The nodes at a path of keys; an element of a list on the way is entered as if it stood there itself."""
    if node.kind == "list":
        for item in node.items:
            yield from _at(item, keys)
    elif not keys:
        yield node
    elif node.kind == "map":
        found = node.get(keys[0])
        if found is not None:
            yield from _at(found, keys[1:])
    elif isinstance(node.value, str) and "${{" in node.value:
        yield node


def _written_out(report: Report, node: Node, what: str) -> None:
    if isinstance(node.value, str) and "${{" in node.value:
        report.problem(node, f"{what} is written out: event data never becomes code; give it by input, env or params")
