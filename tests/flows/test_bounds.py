"""What an evaluation may cost. Costs are counted, never timed: steps charged, calls made, bytes held."""

from __future__ import annotations

import gc
import random
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from flows import expressions
from flows.expressions import bounds, compile_expression
from flows.expressions.bounds import MAX_DEPTH, MAX_STEPS
from flows.expressions.table import FUNCTIONS
from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import BOUNDS, BOUNDS_NAME
from tests.bench.expressions import MIXES, SIZES, values
from tests.daemon import Daemon

BODY = {"a": list(range(30_000)), "b": list(range(30_000, 60_000)), "s": "x" * 400_000}
FIRST = {BOUNDS_NAME: 1}


def outcome(source: str, names: dict[str, Any]) -> str:
    try:
        compile_expression(source).evaluate(names)
    except StepFailed as error:
        return error.type
    return "value"


@pytest.fixture(scope="module")
def large() -> dict[str, Any]:
    found = values()
    for name, value in list(found.items()):
        if isinstance(value, (list, str)):
            found |= {f"{name}{size}": value[:size] for size in SIZES}
        elif len(value) > 100:
            found |= {f"{name}{size}": dict(list(value.items())[:size]) for size in SIZES}
    return {"v": found}


@pytest.mark.parametrize(
    "source",
    [
        "[x for x in event.body.a if x not in event.body.b]",
        '[f"{event.body.s}{i}" for i in range(4900)]',
        "[event.body.s + str(i) for i in range(100)]",
        "[event.body.s.upper() for i in range(100)]",
        "[replace(event.body.s, 'x', 'y') for i in range(4900)]",
        "[event.body.a == event.body.a for i in range(4900)]",
        "[sorted(event.body.a) for i in range(4900)]",
        "[json(event.body) for i in range(4900)]",
        "[event.body for i in range(4900)]",
        "{'a': [event.body for i in range(40)], 'b': [event.body for i in range(40)]}",
        "json([event.body for i in range(4900)])",
        "unique([x * (2 ** 61 - 1) for x in event.body.a])",
        "[default(event.body[event.body.s], 0) for i in range(30000)]",
        "[strip(event.body.s, event.body.s) for i in range(30)]",
        "[matches(event.body.s, '(x{1,30}){1,30}y') for i in range(10)]",
        "join(event.body.a, event.body.s)",
        "[[y for y in range(300)] for x in range(3000)]",
    ],
)
def test_what_an_event_brings_ends_with_limit(source: str) -> None:
    assert outcome(source, {"event": {"body": BODY}}) == "limit"


@pytest.mark.parametrize(
    "source",
    [
        "[x for x in v.ints[:15000]]",
        "[x * 2 for x in range(9000)]",
        "[x for x in v.rows[:10000] if x.on]",
        '[{"id": x.id, "name": x.name} for x in v.rows[:5000]]',
        "sorted(v.floats[:5000])",
        'sorted(v.rows[:5000], by="price")',
        "unique(v.words[:10000])",
        "[x for x in v.words[:500] if x not in v.words[500:1000]]",
        'group_by(v.rows[:5000], "name")',
        "[slug(x) for x in v.words[:1000]]",
        '[x for x in v.rows[:2000] if matches(x.name, "^n[0-9]+5$")]',
        "[default(x.nothing, 0) for x in v.rows[:5000]]",
        "json(v.rows[:10000])",
        "from_json(json(v.rows[:2000]))",
        "to_csv([{'a': x.id, 'b': x.name} for x in v.rows[:2000]])",
        "lines(v.ends3000)",
        "upper(v.text)",
        "v.rows == v.rows[:100]",
        "len(v.huge.replace('x', 'y'))",
    ],
)
def test_what_flows_do_every_day_is_within_the_bounds(source: str, large: dict[str, Any]) -> None:
    assert outcome(source, large) == "value"


class Counted(bounds.Budget):
    last: bounds.Budget

    def __init__(self) -> None:
        super().__init__()
        Counted.last = self


def counted(source: str, names: dict[str, Any]) -> tuple[int, int]:
    """Steps charged, and calls of functions that the interpreter made (ours and those in C)."""
    compiled = compile_expression(source)
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        compiled.evaluate(names)
    except StepFailed:
        pass
    finally:
        sys.setprofile(None)
    return MAX_STEPS - Counted.last.left, calls


CALLS = 8
"""Calls that one step may stand for at most."""
FEW = 20_000
"""Calls that an evaluation may make beside its steps: it shows values in an error, or compiles a format of dates."""


@pytest.mark.parametrize("place", range(len(MIXES)))
def test_steps_bound_the_calls_and_bytes_of_hostile_mixes(
    place: int, large: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expressions, "Budget", Counted)
    steps, calls = counted(MIXES[place], large)
    assert calls <= min(steps, MAX_STEPS) * CALLS + FEW, (MIXES[place], steps, calls)
    gc.collect()
    tracemalloc.start()
    try:
        outcome(MIXES[place], large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20, (MIXES[place], peak)


CONSTANTS = [
    '"a"', '"ab"', '"\\n"', '" "', '","', '"%Y-%m-%d"', "3", '"name"', '"tags"', '"(a|b)+"', '"[a-z]+$"', '"x*y"',
    '"(.*)(.*)(.*)z"', '"[a-q][^u-z]{13}x"', "null", "true", "0.5", '"1h"',
]  # fmt: skip


def hostile(source: random.Random, names: list[str]) -> str:
    """A call or an operator over large values, once or in a comprehension."""

    def argument(local: bool) -> str:
        chance = source.random()
        if local and chance < 0.3:
            return "x"
        return source.choice(CONSTANTS) if chance < 0.45 else f"v.{source.choice(names)}"

    def call(local: bool, depth: int = 0) -> str:
        function = source.choice(list(FUNCTIONS.values()))
        most = function.least + 1 if function.most is None else function.most
        arguments = [
            call(local, depth + 1) if depth < 1 and source.random() < 0.2 else argument(local)
            for _ in range(source.randint(function.least, most))
        ]
        return f"{function.name}({', '.join(arguments)})"

    local = source.random() < 0.8
    if source.random() < 0.15:
        operator = source.choice(["==", "!=", "<", "in", "not in", "+"])
        body = f"{argument(local)} {operator} {argument(local)}"
    else:
        body = call(local)
    return f"[{body} for x in {source.choice(['range(900)', 'range(9000)', 'v.ints', 'v.rows'])}]" if local else body


def test_steps_bound_the_calls_of_random_mixes(large: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "Budget", Counted)
    source = random.Random(7)
    names = sorted(large["v"])
    for _ in range(600):
        text = hostile(source, names)
        steps, calls = counted(text, large)
        assert calls <= min(steps, MAX_STEPS) * CALLS + FEW, (text, steps, calls)


def test_the_same_evaluation_costs_the_same_whatever_was_evaluated_before(
    large: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caches of patterns and formats must not show in what is counted: a journal folds the same on any machine."""
    monkeypatch.setattr(expressions, "Budget", Counted)
    source = random.Random(8)
    texts = [hostile(source, sorted(large["v"])) for _ in range(60)]

    def costs(order: list[str]) -> dict[str, int]:
        found = {}
        for text in order:
            outcome(text, large)
            found[text] = Counted.last.left
        return found

    assert costs(texts) == costs(texts[::-1])


def test_a_run_of_the_first_bounds_is_evaluated_under_them() -> None:
    assert BOUNDS == 2
    many = "[x for x in range(200) if x in range(0)]"
    assert (
        compile_expression("len([x for x in a if x not in b])").evaluate(
            {**FIRST, "a": list(range(700)), "b": list(range(700))}
        )
        == 0
    )
    assert outcome("[x for x in range(6000)]", FIRST) == "limit"
    assert outcome("[x for x in range(6000)]", {}) == "value"
    assert outcome(many, {}) == "value"
    assert compile_expression("slug('你好')").evaluate(FIRST) == ""
    assert compile_expression("to_csv([{'a': '=1'}])").evaluate(FIRST) == "a\r\n=1\r\n"


def test_no_expression_can_spell_the_name_of_the_bounds() -> None:
    assert not BOUNDS_NAME.isidentifier()


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 5):
        deep = [deep]
    other: Any = 1
    for _ in range(MAX_DEPTH + 5):
        other = [other]
    assert outcome("a == b", {"a": deep, "b": other}) == "limit"
    assert outcome("a == b", {"a": deep, "b": other, **FIRST}) == "value"
    text = "[" * (MAX_DEPTH + 5) + "]" * (MAX_DEPTH + 5)
    assert outcome("from_json(s)", {"s": text}) == "limit"
    assert outcome("from_json(s)", {"s": "[" * 90 + "]" * 90}) == "value"
    assert compile_expression("from_json(s)").evaluate({"s": "\ufeff[1]"}) == [1]


def test_guards_keys_and_steps_of_a_hostile_event_are_refused_and_neighbours_answer(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    costly = "len([x for x in event.body.a if x not in event.body.b]) > 0"
    places = {
        "guard": f"only_if: {costly}",
        "unless": f"unless: {costly}",
        "dedupe": f"dedupe: {{key: '{costly}', for: 1h}}",
        "busy": f"concurrency: {{key: '{costly}'}}",
        "step": "",
    }
    for name, line in places.items():
        do = f"[{{set: {{x: '${{{{ {costly} }}}}'}}}}]" if name == "step" else "[]"
        daemon.flow(f"{name}.yaml", f"flow: {name}\nwhen: [{{http: {{path: /{name}}}}}]\n{line}\ndo: {do}\n")
    where = costly.replace("event.body", "event.data")
    daemon.flow("where.yaml", f"flow: where\nwhen: [{{event: {{type: a.b, where: '{where}'}}}}]\ndo: []\n")
    daemon.flow("fine.yaml", "flow: fine\nwhen: [{http: {path: /fine}}]\ndo: []\noutput: fine\n")
    with daemon:
        for name in (*places, "where"):
            if name == "where":
                answer = daemon.post("/api/v1/events?type=a.b", BODY)
            else:
                answer = daemon.post(f"/hooks/{name}?wait", BODY)
            assert "event" in answer.json or name == "step", (name, answer.status, answer.raw)
            if name != "step":
                verdicts = daemon.get(f"/api/v1/events/{answer.json['event']}/why")["verdicts"]
                found = [verdict["message"] for verdict in verdicts if verdict["flow"] == name]
            else:
                assert answer.status == 500 and answer.json["error"]["type"] == "limit"
                found = [answer.json["error"]["message"]]
            assert found == ["the expression takes more than 100,000 steps"], (name, answer.raw)
            assert daemon.post("/hooks/fine?wait", {}).json == "fine"
