"""`parallel` / `join` / `at_once`, and branches with `needs`."""

from __future__ import annotations

import re
from typing import ClassVar

from flows.blocks import Seen, read_block, variables_set
from flows.context import Reading
from flows.nodes import Node
from flows.problems import suggest
from flows.report import Report, describe
from flows.verbs import STEPS, JsonSchema, Keys, Read, Verb
from flows.visible import Visible
from reactor.contracts import plan

_OVER_BRANCHES: JsonSchema = {
    "type": "string", "pattern": r"branches\b", "description": "an expression over branches",
}  # fmt: skip
_BRANCH: JsonSchema = {
    "anyOf": [
        STEPS,
        {
            "type": "object",
            "properties": {"needs": {"type": ["array", "string"], "items": {"type": "string"}}, "do": STEPS},
            "required": ["do"],
            "additionalProperties": False,
        },
    ]
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WORDS = ("all", "any", "first", "settled")


class Parallel(Verb):
    name = "parallel"
    keys: ClassVar[Keys] = {
        "parallel": {"type": "object", "additionalProperties": _BRANCH, "minProperties": 1},
        "join": {
            "anyOf": [{"enum": ["all", "any", "first", "settled"]}, {"type": "integer", "minimum": 1}, _OVER_BRANCHES]
        },
        "at_once": {"type": "integer", "minimum": 1},
    }

    def read(self, reading: Reading, node: Node, visible: Visible, id: str | None) -> Read:
        listed = node.get("parallel")
        if not reading.report.expect(listed, "map", "parallel") or listed is None:
            return Read(plan.Parallel((), "all", 1))
        if not listed.entries:
            reading.report.problem(listed, "parallel needs at least one branch")
        names = list(listed.entries)
        needs: dict[str, tuple[str, ...]] = {}
        bodies: dict[str, Node | None] = {}
        for name, (key, value) in listed.entries.items():
            if not _NAME.fullmatch(name):
                reading.report.problem(key, f"a branch is named with [a-z][a-z0-9_]*, not {name!r}")
            bodies[name], needs[name] = _branch(reading.report, value, name, names)
        cyclic = _cycle(needs)
        if cyclic:
            reading.report.problem(listed, f"needs go in a circle: {' → '.join(cyclic)}")
            needs = dict.fromkeys(names, ())
        join = _join(reading, node, visible, len(names))
        if any(needs.values()) and join != "all":
            reading.report.problem(node.get("join") or node, "branches with `needs` require `join: all`")
        branches: list[plan.Branch] = []
        seen_by: dict[str, Seen] = {}
        for name in _ordered(names, needs):
            inherited = visible
            for needed in _closure(needs, name):
                inherited = inherited.after(*seen_by[needed])
            block, seen_by[name] = read_block(reading, bodies[name], inherited, f"parallel/{name}")
            branches.append(plan.Branch(name, block, needs[name]))
        branches.sort(key=lambda branch: names.index(branch.name))
        if join not in ("any", "first", 1):
            _clashes(reading.report, listed, {name: variables_set(bodies[name]) for name in names}, needs)
        at_once = reading.report.whole(node.get("at_once"), "at_once", 1, 10_000, max(len(names), 1))
        certain = frozenset(i for c, _ in seen_by.values() for i in c)
        possible = frozenset(i for c, p in seen_by.values() for i in c | p)
        return Read(plan.Parallel(tuple(branches), join, at_once), certain if join == "all" else frozenset(), possible)


def _branch(report: Report, node: Node, name: str, names: list[str]) -> tuple[Node | None, tuple[str, ...]]:
    if node.kind == "list":
        return node, ()
    if not report.expect(node, "map", f"the branch {name}"):
        return None, ()
    report.unknown(node, ("needs", "do"), f"the branch {name}")
    if node.get("do") is None:
        report.problem(node, f"the branch {name} needs `do`, a list of steps")
    listed = node.get("needs")
    needed: list[str] = []
    for item in listed.items if listed is not None and listed.kind == "list" else [listed] if listed else []:
        if item.value not in names:
            report.problem(item, f"there is no branch {describe(item)}{suggest(item.value, names)}")
        elif item.value == name:
            report.problem(item, f"the branch {name} needs itself")
        else:
            needed.append(str(item.value))
    return node.get("do"), tuple(needed)


def _join(reading: Reading, node: Node, visible: Visible, count: int) -> str | int | plan.Expression:
    join = node.get("join")
    if join is None:
        return "all"
    if join.kind == "scalar" and join.value in _WORDS:
        return str(join.value)
    if join.kind == "scalar" and isinstance(join.value, int) and not isinstance(join.value, bool):
        if not 1 <= join.value <= count:
            reading.report.problem(join, f"join waits for {join.value} of {count} branches")
            return 1
        return int(join.value)
    compiled = reading.computed.expression(join, visible.plus("branches"), "join")
    if compiled is not None and not any(path[0] == "branches" for path in compiled.reads):
        words = f"{', '.join(_WORDS)}, a number, or an expression over `branches`"
        reading.report.problem(join, f"join is {words}{suggest(join.value, _WORDS)}")
    return compiled if compiled is not None else "all"


def _clashes(report: Report, node: Node, writes: dict[str, set[str]], needs: dict[str, tuple[str, ...]]) -> None:
    names = list(writes)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            if one in _closure(needs, other) or other in _closure(needs, one):
                continue
            for name in sorted(writes[one] & writes[other]):
                report.problem(
                    node.entries[other][0],
                    f"the branches {one} and {other} both write vars.{name}, and neither needs the other",
                )


def _closure(needs: dict[str, tuple[str, ...]], name: str) -> list[str]:
    seen: list[str] = []
    stack = list(needs[name])
    while stack:
        current = stack.pop()
        if current not in seen:
            seen.append(current)
            stack.extend(needs[current])
    return seen


def _ordered(names: list[str], needs: dict[str, tuple[str, ...]]) -> list[str]:
    done: list[str] = []
    while len(done) < len(names):
        done.extend([name for name in names if name not in done and all(need in done for need in needs[name])])
    return done


def _cycle(needs: dict[str, tuple[str, ...]]) -> list[str] | None:
    for start in needs:
        path = [start]

        def follow(name: str, path: list[str] = path, start: str = start) -> list[str] | None:
            for needed in needs[name]:
                if needed == start:
                    return [*path, start]
                if needed not in path:
                    path.append(needed)
                    found = follow(needed, path, start)
                    if found:
                        return found
                    path.pop()
            return None

        found = follow(start)
        if found:
            return found
    return None
