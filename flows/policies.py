"""What surrounds a step of any verb: further attempts, what follows a timeout, handlers of errors."""

from __future__ import annotations

from flows.blocks import read_block
from flows.computed import Computed
from flows.context import Reading
from flows.nodes import Node
from flows.report import Report, describe
from flows.verbs import Read
from flows.verbs.table import VERBS
from flows.visible import Visible
from reactor.contracts import plan
from reactor.kit.durations import DurationError, parse_duration

COMMON = ("id", "name", "only_if", "unless", "timeout", "on_timeout", "retry", "on_error", "repeat")
"""Keys that a step of any verb may have."""


def read_retry(computed: Computed, node: Node | None, visible: Visible) -> plan.Retry | None:
    """What `retry` says of further attempts."""
    report = computed.report
    if node is None:
        return None
    if node.kind == "scalar" and isinstance(node.value, int) and not isinstance(node.value, bool):
        return plan.Retry(report.whole(node, "retry", 0, 1000, 0))
    if not report.expect(node, "map", "retry"):
        return None
    report.unknown(node, ("times", "wait", "if", "then"), "retry")
    if node.get("times") is None:
        report.problem(node, "retry needs `times`, the number of further attempts")
    times = report.whole(node.get("times"), "times", 0, 1000, 0)
    first = last = 1.0
    waits: tuple[float, ...] = ()
    wait = node.get("wait")
    if wait is not None:
        if wait.kind == "list":
            waits = tuple(report.duration(item, "retry.wait") or 0.0 for item in wait.items)
        else:
            first, last = _waits(report, wait)
    test = node.get("if")
    condition = computed.expression(test, visible.plus("error"), "retry.if") if test is not None else None
    then = report.choice(node.get("then"), "retry.then", ("fail", "pause"), "fail")
    return plan.Retry(times, first, last, condition, then, waits)


def _waits(report: Report, node: Node) -> tuple[float, float]:
    value = node.value
    if node.kind == "scalar" and isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value), float(value)
    if node.kind == "scalar" and isinstance(value, str):
        low, dots, high = value.partition("..")
        try:
            first = parse_duration(low)
            last = parse_duration(high) if dots else first
            if last < first:
                report.problem(node, f"retry.wait goes from {low} down to {high}")
            return first, max(first, last)
        except DurationError as error:
            report.problem(node, f"retry.wait: {error}")
            return 1.0, 1.0
    report.problem(node, f"retry.wait is a duration or two of them (1s..1m), not {describe(node)}")
    return 1.0, 1.0


def read_on_timeout(
    reading: Reading, node: Node | None, visible: Visible, result: Read
) -> tuple[plan.Template | plan.Block | None, frozenset[str]]:
    """A value, or the steps of `{do: [steps]}`; and the ids that these may have run."""
    if node is None:
        return None, frozenset()
    body = node.get("do") if node.kind == "map" else None
    if body is not None and len(node.entries) == 1 and body.kind == "list":
        inside = visible.plus("error").after(frozenset(), result.certain | result.possible)
        block, (certain, possible) = read_block(reading, body, inside, "on_timeout")
        return block, certain | possible
    if body is not None or any(_is_step(one) for one in ([node] if node.kind == "map" else node.items)):
        reading.report.problem(
            node,
            "`on_timeout` is the step's value after a timeout, and this looks like steps; to run steps, write"
            " `on_timeout: {do: [steps]}`",
        )
    return reading.computed.template(node, visible), frozenset()


def read_on_error(
    reading: Reading, node: Node | None, visible: Visible, result: Read
) -> tuple[tuple[plan.Handler, ...] | None, bool]:
    """The handlers, and whether the flow may go on behind the failed step."""
    if node is None:
        return None, False
    if not reading.report.expect(node, "list", "on_error"):
        return None, False
    inside = visible.plus("error").after(frozenset(), result.certain | result.possible)
    if not any(item.kind == "map" and ("catch" in item.entries or _is_handler(item)) for item in node.items):
        block, _ = read_block(reading, node, inside, "on_error")
        return (plan.Handler(block),), True
    handlers = []
    goes_on = False
    for index, item in enumerate(node.items):
        if not reading.report.expect(item, "map", "a handler"):
            continue
        reading.report.unknown(item, ("catch", "if", "do", "then"), "a handler of on_error")
        test = item.get("if")
        condition = reading.computed.expression(test, inside, "if") if test is not None else None
        then = reading.report.choice(item.get("then"), "then", ("continue", "fail", "retry"), "continue")
        goes_on = goes_on or then == "continue"
        body = item.get("do")
        block, _ = read_block(reading, body, inside, f"on_error/{index}")
        catch = item.get("catch")
        handlers.append(plan.Handler(block, reading.report.text(catch, "catch") if catch else None, condition, then))
    return tuple(handlers), goes_on


def _is_step(node: Node) -> bool:
    """Whether data looks like a step: it has a verb, and nothing that such a step cannot have."""
    verbs = [key for key in node.entries if key in VERBS] if node.kind == "map" else []
    return bool(verbs) and all(key in (*COMMON, "finally", *VERBS[verbs[0]].keys) for key in node.entries)


def _is_handler(node: Node) -> bool:
    """Whether an entry of `on_error` is a handler: a step has neither `do` nor `then: word`."""
    if any(key in VERBS and key != "if" for key in node.entries):
        return False
    then = node.get("then")
    return "do" in node.entries or (then is not None and then.kind == "scalar")
