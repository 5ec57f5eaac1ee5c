"""Lists of steps, and what any step may have."""

from __future__ import annotations

import keyword
import re
from dataclasses import replace
from typing import Any

from flows import habits
from flows.context import Reading, Visible, describe
from flows.nodes import Node
from flows.problems import suggest
from flows.verbs import (
    Read,
    call,
    emit,
    fail,
    foreach,
    if_,
    parallel,
    queue,
    respond,
    run_,
    set_,
    stop,
    switch,
    try_,
    until,
)
from flows.verbs import wait as wait_
from flows.verbs import while_ as while_verb
from reactor.contracts import plan
from reactor.kit.durations import DurationError, parse_duration

READERS: dict[str, Any] = {
    reader.VERB: reader
    for reader in (
        call, set_, if_, switch, parallel, foreach, while_verb, until, wait_, run_, emit, queue, respond, try_, stop,
        fail,
    )
}  # fmt: skip
COMMON = ("id", "name", "only_if", "unless", "timeout", "on_timeout", "retry", "on_error", "repeat")
LATER_VERBS = ("ask",)
_NOT_HERE = "is not in this version of Reactor"
LATER_KEYS = {"undo": _NOT_HERE}
NAME = re.compile(r"[a-z][a-z0-9_]*")

Seen = tuple[frozenset[str], frozenset[str]]


class Arms:
    """Ids seen in arms of which one runs: each may use an id that another arm uses too."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._before = dict(reading.taken)
        self._taken = dict(reading.taken)
        self._arms: list[Seen] = []

    def read(self, node: Node | None, visible: Visible, suffix: str) -> plan.Block:
        self._reading.taken = dict(self._before)
        block, seen = read_block(self._reading, node, visible, suffix)
        self._taken.update(self._reading.taken)
        self._reading.taken = self._taken
        self._arms.append(seen)
        return block

    def seen(self, exhaustive: bool) -> Seen:
        every = frozenset(i for certain, possible in self._arms for i in certain | possible)
        if not exhaustive or not self._arms:
            return frozenset(), every
        return frozenset.intersection(*(certain for certain, _ in self._arms)), every


def valid_name(reading: Reading, node: Node, name: str, what: str) -> bool:
    from flows.context import ROOTS

    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        reading.problem(node, f"{what} {name!r} must match [a-z][a-z0-9_]* and be no keyword")
        return False
    if what == "as" and name in ROOTS:
        reading.problem(node, f"`as: {name}` would hide the name {name}")
        return False
    return True


def read_block(reading: Reading, node: Node | None, visible: Visible, suffix: str) -> tuple[plan.Block, Seen]:
    """A list of steps. Returns it and the ids certain, and possible, to have run at its end."""
    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    steps: list[plan.Step] = []
    if node is not None and not reading.expect(node, "list", "a list of steps"):
        node = None
    ended: str | None = None
    for index, item in enumerate(node.items if node is not None else []):
        if ended is not None:
            reading.problem(item, f"this step is never reached: `{ended}` stands before it", "warning")
            ended = None
        here = replace(visible, certain=visible.certain | certain, possible=visible.possible | possible)
        step, more, maybe = read_step(reading, item, here, index)
        if step is not None:
            steps.append(step)
            if step.verb in ("stop", "fail") and step.plain:
                ended = step.verb
        certain, possible = certain | more, (possible | maybe) - more
    return plan.Block(suffix, tuple(steps)), (certain, possible)


def read_loop(reading: Reading, node: Node, visible: Visible, at_once: bool) -> tuple[plan.Block, Seen]:
    """The body of a loop, and the ids that a turn has run at its end; outside the loop they are not seen."""
    body = node.get("do")
    if body is None:
        reading.problem(node, "a loop needs `do`, a list of steps")
    outer, reading.turn_locals = reading.turn_locals, reading.turn_locals or at_once
    block, (certain, possible) = read_block(reading, body, visible, "turns")
    reading.turn_locals = outer
    reading.loop_ids |= certain | possible
    return block, (certain, possible)


def read_step(
    reading: Reading, node: Node, visible: Visible, index: int
) -> tuple[plan.Step | None, frozenset[str], frozenset[str]]:
    nothing: frozenset[str] = frozenset()
    if not reading.expect(node, "map", "a step"):
        return None, nothing, nothing
    verb = _verb(reading, node)
    if verb is None:
        return None, nothing, nothing
    reader = READERS[verb]
    known = (*COMMON, *reader.SCHEMA)
    if verb == "try":
        known = (*known, "finally")
    reading.unknown(node, known, f"a `{verb}` step", LATER_KEYS, habits.STEP_KEYS)
    id = _id(reading, node)
    only_if = reading.clauses(node.get("only_if"), visible, "only_if")
    unless = reading.clauses(node.get("unless"), visible, "unless")
    result: Read = reader.read(reading, node, visible, id)
    timeout = reading.duration(node.get("timeout"), "timeout")
    on_timeout_node = node.get("on_timeout")
    on_timeout, late = _on_timeout(reading, on_timeout_node, visible, result)
    if on_timeout is not None and timeout is None:
        reading.problem(on_timeout_node or node, "`on_timeout` needs `timeout`")
    retry = _retry(reading, node.get("retry"), visible)
    if retry is None and verb == "call" and node.get("retry") is None:
        retry = _usual_retry(reading, result.body.action)
    handlers, goes_on = _on_error(reading, node.get("on_error"), visible, result)
    if node.get("repeat") is not None and verb != "call":
        reading.problem(node.entries["repeat"][0], "`repeat` belongs to a `call`")
    guarded = bool(only_if or unless or goes_on)
    plain = not (only_if or unless or timeout is not None or retry or handlers is not None or on_timeout)
    own = frozenset({id}) if id is not None else nothing
    name_node = node.get("name")
    step = plan.Step(
        path=str(index),
        verb=verb,
        body=result.body,
        id=id,
        name=reading.text(name_node, "name") if name_node is not None else None,
        line=node.line,
        only_if=only_if,
        unless=unless,
        timeout=timeout,
        on_timeout=on_timeout,
        retry=retry,
        on_error=handlers,
        plain=plain,
    )
    certain, possible = own | result.certain, result.possible | late
    if on_timeout is not None:  # the step has a value after a timeout, what stands in it may not have run
        certain, possible = own, possible | result.certain
        if id is not None:
            reading.results.pop(id, None)
    if guarded:
        return step, nothing, certain | possible
    return step, certain, possible - certain


def _verb(reading: Reading, node: Node) -> str | None:
    verbs = [key for key in node.entries if key in READERS]
    if len(verbs) == 1:
        return verbs[0]
    if not verbs:
        for key in LATER_VERBS:
            if key in node.entries:
                reading.problem(node.entries[key][0], f"the verb `{key}` {_NOT_HERE}")
                return None
        keys = [key for key in node.entries if key not in COMMON]
        word = habits.habit(habits.STEPS, keys[0]) if keys else None
        hint = f"; {word}" if word else suggest(keys[0], READERS) if keys else ""
        what = f": {keys[0]} is none{hint}" if keys else ""
        reading.problem(node, f"a step needs exactly one verb{what}; the verbs are {', '.join(READERS)}")
        return None
    reading.problem(node.entries[verbs[1]][0], f"a step has exactly one verb; here are {' and '.join(verbs)}")
    return None


def _id(reading: Reading, node: Node) -> str | None:
    given = node.get("id")
    if given is None:
        return None
    id = reading.text(given, "id")
    if id is None or not valid_name(reading, given, id, "the id"):
        return None
    first = reading.taken.get(id)
    if first is not None:
        reading.problem(given, f"the id {id} is taken by the step on line {first.line}")
    reading.taken.setdefault(id, given)
    return id


def _retry(reading: Reading, node: Node | None, visible: Visible) -> plan.Retry | None:
    if node is None:
        return None
    if node.kind == "scalar" and isinstance(node.value, int) and not isinstance(node.value, bool):
        return plan.Retry(reading.whole(node, "retry", 0, 1000, 0))
    if not reading.expect(node, "map", "retry"):
        return None
    reading.unknown(node, ("times", "wait", "if", "then"), "retry")
    if node.get("times") is None:
        reading.problem(node, "retry needs `times`, the number of further attempts")
    times = reading.whole(node.get("times"), "times", 0, 1000, 0)
    first = last = 1.0
    waits: tuple[float, ...] = ()
    wait = node.get("wait")
    if wait is not None:
        if wait.kind == "list":
            waits = tuple(reading.duration(item, "retry.wait") or 0.0 for item in wait.items)
        else:
            first, last = _waits(reading, wait)
    test = node.get("if")
    condition = reading.expression(test, visible.plus("error"), "retry.if") if test is not None else None
    then = reading.choice(node.get("then"), "retry.then", ("fail", "pause"), "fail")
    return plan.Retry(times, first, last, condition, then, waits)


def _usual_retry(reading: Reading, action: str) -> plan.Retry | None:
    """What an action brings for steps that say nothing of it."""
    known = action in reading.kinds.actions.names()
    waits = reading.kinds.actions.get(action).retry_waits if known else ()
    return plan.Retry(len(waits), waits=waits) if waits else None


def _waits(reading: Reading, node: Node) -> tuple[float, float]:
    value = node.value
    if node.kind == "scalar" and isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value), float(value)
    if node.kind == "scalar" and isinstance(value, str):
        low, dots, high = value.partition("..")
        try:
            first = parse_duration(low)
            last = parse_duration(high) if dots else first
            if last < first:
                reading.problem(node, f"retry.wait goes from {low} down to {high}")
            return first, max(first, last)
        except DurationError as error:
            reading.problem(node, f"retry.wait: {error}")
            return 1.0, 1.0
    reading.problem(node, f"retry.wait is a duration or two of them (1s..1m), not {describe(node)}")
    return 1.0, 1.0


def _on_error(
    reading: Reading, node: Node | None, visible: Visible, result: Read
) -> tuple[tuple[plan.Handler, ...] | None, bool]:
    """The handlers, and whether the flow may go on behind the failed step."""
    if node is None:
        return None, False
    if not reading.expect(node, "list", "on_error"):
        return None, False
    inside = replace(
        visible.plus("error"),
        possible=visible.possible | result.certain | result.possible,
        anywhere=visible.anywhere,
    )
    if not any(item.kind == "map" and ("catch" in item.entries or _is_handler(item)) for item in node.items):
        block, _ = read_block(reading, node, inside, "on_error")
        return (plan.Handler(block),), True
    handlers = []
    goes_on = False
    for index, item in enumerate(node.items):
        if not reading.expect(item, "map", "a handler"):
            continue
        reading.unknown(item, ("catch", "if", "do", "then"), "a handler of on_error")
        test = item.get("if")
        condition = reading.expression(test, inside, "if") if test is not None else None
        then = reading.choice(item.get("then"), "then", ("continue", "fail", "retry"), "continue")
        goes_on = goes_on or then == "continue"
        body = item.get("do")
        block, _ = read_block(reading, body, inside, f"on_error/{index}")
        catch = item.get("catch")
        handlers.append(plan.Handler(block, reading.text(catch, "catch") if catch else None, condition, then))
    return tuple(handlers), goes_on


def _on_timeout(reading: Reading, node: Node | None, visible: Visible, result: Read) -> tuple[Any, frozenset[str]]:
    """A value, or the steps of `{do: [steps]}`; and the ids that these may have run."""
    if node is None:
        return None, frozenset()
    body = node.get("do") if node.kind == "map" else None
    if body is not None and len(node.entries) == 1 and body.kind == "list":
        inside = replace(visible.plus("error"), possible=visible.possible | result.certain | result.possible)
        block, (certain, possible) = read_block(reading, body, inside, "on_timeout")
        return block, certain | possible
    if body is not None or any(is_step(one) for one in ([node] if node.kind == "map" else node.items)):
        reading.problem(
            node,
            "`on_timeout` is the step's value after a timeout, and this looks like steps; to run steps, write"
            " `on_timeout: {do: [steps]}`",
        )
    return reading.template(node, visible), frozenset()


def is_step(node: Node) -> bool:
    """Whether data looks like a step: it has a verb, and nothing that such a step cannot have."""
    verbs = [key for key in node.entries if key in READERS] if node.kind == "map" else []
    return bool(verbs) and all(key in (*COMMON, "finally", *READERS[verbs[0]].SCHEMA) for key in node.entries)


def _is_handler(node: Node) -> bool:
    """Whether an entry of `on_error` is a handler and not a step: `do` and `then: word` are no step's."""
    if any(key in READERS and key != "if" for key in node.entries):
        return False
    then = node.get("then")
    return "do" in node.entries or (then is not None and then.kind == "scalar")


def written(node: Node | None) -> set[str]:
    """Names that `set` steps anywhere inside write, but for those that are local to turns at once."""
    names: set[str] = set()
    if node is None:
        return names
    if node.kind == "list":
        for item in node.items:
            names |= written(item)
    elif node.kind == "map":
        if "foreach" in node.entries and (once := node.get("at_once")) is not None and once.value != 1:
            return names
        for key, (_, value) in node.entries.items():
            if key == "set" and value.kind == "map":
                names |= set(value.entries)
            elif value.kind != "scalar" and key not in ("with", "data", "respond"):
                names |= written(value)
    return names
