"""Lists of steps: blocks, the bodies of loops, and arms of which one runs."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from flows.context import Reading
from flows.nodes import Node
from flows.report import Report
from flows.visible import Visible
from reactor.contracts import plan

DATA_KEYS = ("with", "data", "respond")
"""Keys of steps that hold data, in which nothing is a step."""
MAX_TURNS = 1_000_000


class Seen(NamedTuple):
    """The ids that are certain, and possible, to have run at the end of a block."""

    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()


def read_block(reading: Reading, node: Node | None, visible: Visible, suffix: str) -> tuple[plan.Block, Seen]:
    """A list of steps; `suffix` is the block's part of the paths. Also what has run at its end."""
    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    steps: list[plan.Step] = []
    if node is not None and not reading.report.expect(node, "list", "a list of steps"):
        node = None
    ended: str | None = None
    for index, item in enumerate(node.items if node is not None else []):
        if ended is not None:
            reading.report.problem(item, f"this step is never reached: `{ended}` stands before it", "warning")
            ended = None
        step, more, maybe, ends = reading.read_step(reading, item, visible.after(certain, possible), index)
        if step is not None:
            steps.append(step)
            if ends:
                ended = step.verb
        certain, possible = certain | more, (possible | maybe) - more
    return plan.Block(suffix, tuple(steps)), Seen(certain, possible)


def read_loop(reading: Reading, node: Node, visible: Visible, at_once: bool) -> tuple[plan.Block, Seen]:
    """The body of a loop, and the ids that a turn has run at its end; outside the loop they are not seen."""
    body = node.get("do")
    if body is None:
        reading.report.problem(node, "a loop needs `do`, a list of steps")
    if at_once:
        visible = replace(visible, turns_at_once=True)
    block, seen = read_block(reading, body, visible, "turns")
    reading.names.steps.in_loops |= seen.certain | seen.possible
    return block, seen


def turn_limit(report: Report, node: Node, verb: str) -> int:
    """The `max` of a loop that goes on as long as a condition says."""
    limit = node.get("max")
    if limit is None:
        report.problem(node, f"`{verb}` needs `max`, the number of turns after which it fails")
        return 1
    return report.whole(limit, "max", 1, MAX_TURNS, 1)


class Arms:
    """Blocks of which one runs: each may use an id that another one uses too."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._ids = reading.names.steps
        self._before = dict(self._ids.taken)
        self._taken = dict(self._ids.taken)
        self._arms: list[Seen] = []

    def read(self, node: Node | None, visible: Visible, suffix: str) -> plan.Block:
        self._ids.taken = dict(self._before)
        block, seen = read_block(self._reading, node, visible, suffix)
        self._taken.update(self._ids.taken)
        self._ids.taken = self._taken
        self._arms.append(seen)
        return block

    def seen(self, exhaustive: bool) -> Seen:
        """What has run behind all of them; `exhaustive` when one of them runs in any case."""
        every = frozenset(i for certain, possible in self._arms for i in certain | possible)
        if not exhaustive or not self._arms:
            return Seen(possible=every)
        return Seen(frozenset.intersection(*(certain for certain, _ in self._arms)), every)


def turns_at_once(node: Node) -> bool:
    """Whether a step is a `foreach` whose turns run at once: what they set is local to them."""
    once = node.get("at_once")
    return "foreach" in node.entries and once is not None and once.value != 1


def variables_set(node: Node | None) -> set[str]:
    """Names that `set` steps anywhere inside write, but for those that are local to turns at once."""
    names: set[str] = set()
    if node is None:
        return names
    if node.kind == "list":
        for item in node.items:
            names |= variables_set(item)
    elif node.kind == "map":
        if turns_at_once(node):
            return names
        for key, (_, value) in node.entries.items():
            if key == "set" and value.kind == "map":
                names |= set(value.entries)
            elif value.kind != "scalar" and key not in DATA_KEYS:
                names |= variables_set(value)
    return names
