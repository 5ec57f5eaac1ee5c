"""One step: its verb, and what any step may have."""

from __future__ import annotations

from flows import habits
from flows.context import Reading, ReadStep
from flows.nodes import Node
from flows.policies import COMMON, read_on_error, read_on_timeout, read_retry
from flows.problems import suggest
from flows.report import Report
from flows.verbs import Verb
from flows.verbs.table import VERBS
from flows.visible import StepIds, Visible, is_name
from reactor.contracts import plan

LATER_VERBS = ("ask",)
_NOT_HERE = "is not in this version of Reactor"
LATER_KEYS = {"undo": _NOT_HERE}


def read_step(reading: Reading, node: Node, visible: Visible, index: int) -> ReadStep:
    """The step at a place of a list. Fulfils `flows.context.StepReader`."""
    nothing: frozenset[str] = frozenset()
    if not reading.report.expect(node, "map", "a step"):
        return ReadStep(None)
    verb = _verb(reading.report, node)
    if verb is None:
        return ReadStep(None)
    reading.report.unknown(node, (*COMMON, *verb.keys), f"a `{verb.name}` step", LATER_KEYS, habits.STEP_KEYS)
    id = _id(reading.report, reading.names.steps, node)
    only_if = reading.computed.clauses(node.get("only_if"), visible, "only_if")
    unless = reading.computed.clauses(node.get("unless"), visible, "unless")
    result = verb.read(reading, node, visible, id)
    timeout = reading.report.duration(node.get("timeout"), "timeout")
    on_timeout_node = node.get("on_timeout")
    on_timeout, late = read_on_timeout(reading, on_timeout_node, visible, result)
    if on_timeout is not None and timeout is None:
        reading.report.problem(on_timeout_node or node, "`on_timeout` needs `timeout`")
    retry = read_retry(reading.computed, node.get("retry"), visible)
    if retry is None and node.get("retry") is None:
        retry = verb.usual_retry(reading, result.body)
    handlers, goes_on = read_on_error(reading, node.get("on_error"), visible, result)
    if node.get("repeat") is not None and not verb.acts:
        reading.report.problem(node.entries["repeat"][0], "`repeat` belongs to a `call`")
    guarded = bool(only_if or unless or goes_on)
    plain = not (only_if or unless or timeout is not None or retry or handlers is not None or on_timeout)
    own = frozenset({id}) if id is not None else nothing
    name_node = node.get("name")
    step = plan.Step(
        path=str(index),
        verb=verb.name,
        body=result.body,
        id=id,
        name=reading.report.text(name_node, "name") if name_node is not None else None,
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
            reading.names.steps.result_fields.pop(id, None)
    ends = verb.ends and plain
    if guarded:
        return ReadStep(step, nothing, certain | possible, ends)
    return ReadStep(step, certain, possible - certain, ends)


def _verb(report: Report, node: Node) -> Verb | None:
    verbs = [key for key in node.entries if key in VERBS]
    if len(verbs) == 1:
        return VERBS[verbs[0]]
    if not verbs:
        for key in LATER_VERBS:
            if key in node.entries:
                report.problem(node.entries[key][0], f"the verb `{key}` {_NOT_HERE}")
                return None
        keys = [key for key in node.entries if key not in COMMON]
        word = habits.habit(habits.STEPS, keys[0]) if keys else None
        hint = f"; {word}" if word else suggest(keys[0], VERBS) if keys else ""
        what = f": {keys[0]} is none{hint}" if keys else ""
        report.problem(node, f"a step needs exactly one verb{what}; the verbs are {', '.join(VERBS)}")
        return None
    report.problem(node.entries[verbs[1]][0], f"a step has exactly one verb; here are {' and '.join(verbs)}")
    return None


def _id(report: Report, ids: StepIds, node: Node) -> str | None:
    given = node.get("id")
    if given is None:
        return None
    id = report.text(given, "id")
    if id is None or not is_name(report, given, id, "the id"):
        return None
    first = ids.taken.get(id)
    if first is not None:
        report.problem(given, f"the id {id} is taken by the step on line {first.line}")
    ids.taken.setdefault(id, given)
    return id
