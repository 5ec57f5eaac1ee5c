"""Hints for what people write by habit, and for values that are left empty."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flows.connections import load_connections
from flows.loader import load_text
from flows.verbs.table import VERBS
from tests.flows_help import KINDS, problems

HABITS = [
    ("on: push\ndo: []\n", "a flow has no key on; write `when`"),
    ("trigger: {http: POST /x}\ndo: []\n", "a flow has no key trigger; write `when`"),
    ("schedule: '* * * * *'\ndo: []\n", "a flow has no key schedule; write `when: [{cron:"),
    ("when: [manual]\nsteps: []\n", "a flow has no key steps; write `do`"),
    ("when: [manual]\njobs: {}\n", "a flow has no key jobs; write `do`"),
    ("when: [{webhook: /x}]\ndo: []\n", "there is no trigger webhook; write `http: POST /order`"),
    ("when: [{nonsense: /x}]\ndo: []\n", "there is no trigger nonsense; there are amqp, cron"),
    ("do: [{set: {a: '{{ event.body.x }}'}}]\n", "an expression is written ${{ event.body.x }}"),
    ("do: [{set: {a: 'Hello {{ x }}'}}]\n", "an expression is written ${{ x }}"),
    ("do:\n  - set:\n      a: {{ x }}\n", "an expression is written ${{ … }}"),
    ("only_if: '{{ event.body.x }}'\ndo: []\n", "only_if is an expression itself; write event.body.x without {{ }}"),
    ("do: [{set: {a: '${{ now() }}'}}]\n", "an expression reads no clock; run.started is when the run began"),
    ("do: [{set: {a: '${{ body.x }}'}}]\n", "there is no name body; what started the run is `event`"),
    ("do: [{uses: x}]\n", "uses is none; write `call: action` with `with:`; the verbs are call, set"),
    ("do: [{cal: x}]\n", f"cal is none (did you mean call?); the verbs are {', '.join(VERBS)}"),
    ("do: [{zzz: x}]\n", f"zzz is none; the verbs are {', '.join(VERBS)}"),
    ("do: [{id: x}]\n", f"a step needs exactly one verb; the verbs are {', '.join(VERBS)}"),
    ("do: [{call: log, with: {message: 1}, retries: 3}]\n", "write `retry: {times: 3, wait: 1s..1m}`"),
    ("do: [{call: log, with: {message: 1, level: loud}}]\n", 'level must be debug, info, warning or error, not "loud"'),
    ("do: [{call: nothing.like.it}]\n", "there is no action nothing.like.it; `reactor actions` lists them"),
    ("do: [{wait: 1h, timeout: 1s, on_timeout: [{call: log}]}]\n", "this looks like steps; to run steps, write"),
    ("do: [{wait: 1h, timeout: 1s, on_timeout: {fail: late}}]\n", "this looks like steps; to run steps, write"),
    ("do: [{wait: 1h, timeout: 1s, on_timeout: {do: x}}]\n", "this looks like steps; to run steps, write"),
    ("do: [{wait: 1h, timeout: 1s, on_timeout: {do: [], then: fail}}]\n", "this looks like steps; to run steps, write"),
    ("do: [{parallel: {a: []}, join: setled}]\n", "(did you mean settled?)"),
]


@pytest.mark.parametrize(("text", "message"), HABITS, ids=range(len(HABITS)))
def test_a_habit_gets_a_hint(text: str, message: str) -> None:
    found = problems(text)
    assert any(message in problem for problem in found), found


def test_one_problem_for_one_habit() -> None:
    assert len(problems("when: [manual]\nsteps: [{call: log}]\n")) == 1


def test_braces_of_other_kinds_are_data() -> None:
    for text in ("{{}}", "{{ 1 + 1 }}", "${{ 'x' }} {", "{{#each a}}", "{{ a | b }}"):
        assert not problems(json.dumps({"do": [{"set": {"a": text}}]})), text


EMPTY: list[Any] = [
    {key: value, "do": [{"set": {"a": 1}}]}
    for key in ("when", "only_if", "unless", "vars", "dedupe", "concurrency", "timeout", "on_error", "labels")
    for value in (None, [None])
]
EMPTY += [{"do": value} for value in (None, [None], [[None]])]
EMPTY += [{"do": [{"set": {"a": 1}, key: None}]} for key in ("only_if", "timeout", "retry", "id")]
STEPS: tuple[dict[str, Any], ...] = (
        {"call": None}, {"call": "log", "with": None}, {"set": None}, {"if": None, "then": []},
        {"if": "true", "then": [None]}, {"switch": None, "cases": None}, {"parallel": None}, {"parallel": {"a": [None]}},
        {"parallel": {"a": [], "b": {"needs": [None], "do": []}}}, {"parallel": {"a": []}, "join": None},
        {"foreach": None, "do": []}, {"foreach": [1], "do": None}, {"while": None, "max": 1, "do": []}, {"wait": None},
        {"run": None}, {"emit": None}, {"queue": None}, {"respond": None}, {"try": None}, {"stop": None}, {"fail": None},
)  # fmt: skip
EMPTY += [{"do": [step]} for step in STEPS]


@pytest.mark.parametrize("document", EMPTY, ids=json.dumps)
def test_an_empty_value_is_named(document: Any) -> None:
    """Each problem has its file and line; none is a surprise."""
    (loaded,) = load_text(json.dumps(document, indent=1), "/flows/f.yaml", "/flows", KINDS)
    assert loaded.plan is None and loaded.problems
    assert all(
        str(problem).startswith("/flows/f.yaml:") and "None" not in problem.message for problem in loaded.problems
    )


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n---\n", "\ufeff# x\n", "null\n", "- null\n", "~\n"])
def test_a_file_without_a_flow_is_one_line(text: str, tmp_path: Any) -> None:
    for name in ("f.yaml", "connections/f.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (loaded,) = load_text(text.removeprefix("\ufeff"), "f.yaml", "/", KINDS)
    assert len(loaded.problems) == 1, loaded.problems
    (connection,) = load_connections(tmp_path / "connections" / "f.yaml", KINDS)
    assert len(connection.problems) == 1, connection.problems
