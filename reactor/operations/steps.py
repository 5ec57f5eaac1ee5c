"""The tree of steps as the API shows it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reactor.contracts.event import rfc3339
from reactor.engine.step_tree import Node
from reactor.server import answers
from reactor.server.views import moment


def steps_of(nodes: Sequence[Node], turns: int | None = None) -> list[answers.Step]:
    """At most `turns` turns of each loop, with a count of the rest."""
    return [_step(node, turns) for node in nodes]


def _step(node: Node, turns: int | None) -> answers.Step:
    children: Sequence[Node] = node.children
    shown: answers.Turns | msgspec.UnsetType = msgspec.UNSET
    if turns is not None:
        kept, total = _first_turns(node.path, node.children, turns)
        if total > turns:
            children, shown = kept, answers.Turns(total, turns)
    return answers.Step(
        path=node.path,
        id=node.id,
        name=node.name,
        verb=node.verb,
        status=node.status,
        attempts=node.attempts,
        started=rfc3339(node.started),
        ended=moment(node.ended),
        result=node.result,
        error=node.error,
        children=steps_of(children, turns),
        turns=shown,
    )


def _first_turns(path: str, children: Sequence[Node], turns: int) -> tuple[list[Node], int]:
    """The children of the first turns, and how many turns there are."""
    prefix = path + "/turns/"
    seen: set[str] = set()
    kept = []
    for child in children:
        if child.path.startswith(prefix):
            seen.add(child.path[len(prefix) :].partition("/")[0])
            if len(seen) > turns:
                continue
        kept.append(child)
    return kept, len(seen)
