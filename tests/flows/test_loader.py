"""What the loader says of bad flows: all of it, with its place and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.loader import load_text
from flows.nodes import parse_documents
from tests.flows_help import KINDS, plan, problems

CASES = [
    ("do: []\nwhenn: x\n", "flow-0.yaml:2:1: a flow has no key whenn (did you mean when?)"),
    ("do:\n  - cal: log\n", "a step needs exactly one verb: cal is none (did you mean call?)"),
    ("do:\n  - {call: log, with: {message: a}, set: {a: 1}}\n", "exactly one verb; here are call and set"),
    ("do:\n  - {call: logg}\n", "2:12: there is no action logg (did you mean log?)"),
    ("do:\n  - {call: http.get, with: {ulr: x}}\n", "http.get has no option ulr (did you mean url?)"),
    ("do:\n  - {call: http.get, with: {}}\n", "http.get needs the option url"),
    ("do:\n  - {call: http.get, with: {url: 5}}\n", "url: expected str, got int, not 5"),
    ("do:\n  - {set: {a: '${{ 1 + }}'}}\n", "2:"),
    ("do:\n  - {set: {a: '${{ evnt.body }}'}}\n", "there is no name evnt (did you mean event?)"),
    ("do:\n  - {set: {a: '${{ lenn([]) }}'}}\n", "no such function lenn() (did you mean len?)"),
    ("do:\n  - {set: {a: '${{ vars.b }}'}}\n", "nothing in this flow sets vars.b"),
    ("do:\n  - {set: {a: '${{ steps.x }}'}}\n", "there is no step x"),
    ("do:\n  - {set: {a: '${{ steps.x }}'}}\n  - {id: x, set: {b: 1}}\n", "the step x comes later"),
    ("do:\n  - {id: x, only_if: 'true', set: {b: 1}}\n  - {set: {a: '${{ steps.x }}'}}\n", "not certain to have run"),
    ("do:\n  - foreach: [1]\n    do: [{id: x, set: {b: 1}}]\n  - {set: {a: '${{ steps.x }}'}}\n", "inside a loop"),
    ("do:\n  - {set: {a: '${{ secrets.x }}'}}\n", "secrets may stand only in `with`"),
    ("do:\n  - {set: {a: '${{ item }}'}}\n", "item exists only inside the turns of a loop"),
    ("do:\n  - {while: 'true', do: []}\n", "`while` needs `max`"),
    ("do:\n  - {id: if, set: {a: 1}}\n", "must match [a-z][a-z0-9_]* and be no keyword"),
    ("do:\n  - {id: a, set: {x: 1}}\n  - {id: a, set: {y: 1}}\n", "the id a is taken by the step on line 2"),
    ("do:\n  - parallel: {a: [{set: {x: 1}}], b: [{set: {x: 2}}]}\n", "both write vars.x"),
    ("do:\n  - parallel: {a: {needs: [b], do: []}, b: {needs: [a], do: []}}\n", "needs go in a circle"),
    ("vars: {s: 0}\ndo:\n  - {foreach: [1], at_once: 2, do: [{set: {s: 1}}]}\n", "turns run at once"),
    ("do:\n  - {ask: {form: x}}\n", "the verb `ask` is not in this version of Reactor"),
    ("do:\n  - {set: {a: 1}, undo: []}\n", "`undo` is not in this version"),
    ("throttle: {limit: 1}\ndo: []\n", "`throttle` is not in this version"),
    ("unless: [{event: a.b}]\ndo: []\n", "(a watch) is not in this version"),
    ("when: [{all_of: {within: 1h}}]\ndo: []\n", "the trigger `all_of` is not in this version"),
    ("when: [{cron: '99 * * * *'}]\ndo: []\n", "is not a valid cron expression"),
    ("when: [{cron: {at: '* * * * *', zone: Mars/Base}}]\ndo: []\n", "there is no zone 'Mars/Base'"),
    ("when: [{http: {path: /a, verify: {github: nope}}}]\ndo: []\n", "verify names exactly one"),
    ("do:\n  - {run: nowhere}\n", "there is no flow nowhere"),
    ("timeout: soon\ndo: []\n", "is no duration; write 250ms"),
    ("a: 1\na: 2\ndo: []\n", "2:1: a is given twice; the first is on line 1"),
    ("do:\n\t- set: {}\n", "a tab indents this line"),
    ("do: []\nx: {a: ${{ b }}}\n", "quote the whole value"),
    ("do:\n  - set:\n      a: ${{ x # y }}\n", "never closed"),
    ("when: [{cron: */5 * * * *}]\ndo: []\n", "quote a value that begins with *"),
    ("x: !!python/object:os.system a\ndo: []\n", "is not used here"),
    ("x: .inf\ndo: []\n", ".inf is no JSON number"),
    ("<<: {a: 1}\ndo: []\n", "<< is not YAML 1.2"),
    ("", "the file is empty"),
    ("do:\n  - call: file.read\n    with: {path: '${{ event.data }}'}\n", "start the daemon with --file-root"),
]


@pytest.mark.parametrize(("text", "message"), CASES, ids=range(len(CASES)))
def test_a_bad_flow_is_told(text: str, message: str) -> None:
    if "nope" in text:
        text = text.replace("{github: nope}", "{github: nope, bearer: x}")
    found = problems(text)
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("/flows/flow-0.yaml:") for problem in found)


def test_all_problems_of_a_file_come_at_once() -> None:
    assert len(problems("whenn: 1\ndo:\n  - {call: nope}\n  - {set: {a: '${{ b }}'}}\n")) == 3


def test_words_mean_what_they_look_like() -> None:
    (document,), _ = parse_documents("{on: no, at: 12:30:00, n: 0o17, h: 0x1F, f: 1e3, y: yes, t: true, e: }", "f")
    assert document.plain() == {
        "on": "no", "at": "12:30:00", "n": 15, "h": 31, "f": 1000.0, "y": "yes", "t": True, "e": None,
    }  # fmt: skip


def test_json_may_write_a_character_as_two_escapes() -> None:
    (document,), problems = parse_documents(r'{"a": "\ud83d\ude00", "b": "\\ud83d\\ude00"}', "f.json")
    assert not problems and document.plain() == {"a": "\N{GRINNING FACE}", "b": r"\ud83d\ude00"}
    _, (problem,) = parse_documents(r'{"a": "\ud83d"}', "f.json")
    assert "invalid Unicode character escape code" in problem.message


def test_a_comment_makes_no_new_version() -> None:
    one, two, three = (plan(text) for text in ("do: []\n", "# hello\ndo: [ ]\n", "do: [{set: {a: 1}}]\n"))
    assert one.version == two.version != three.version


def test_two_flows_of_one_name_and_one_source_with_two_sets_of_options() -> None:
    found = problems("flow: a\ndo: []\n", "flow: a\ndo: []\n")
    assert any("the flow a is already in /flows/flow-0.yaml" in problem for problem in found), found
    found = problems(
        "when: [{http: {path: /x, limit: 1KiB}}]\ndo: []\n", "when: [{http: {path: /x, limit: 2KiB}}]\ndo: []\n"
    )
    assert any("POST /hooks/x has other options here than in /flows/flow-0.yaml" in p for p in found), found


def test_sub_flows_in_a_circle() -> None:
    found = problems("flow: a\ndo: [{run: b}]\n", "flow: b\ndo: [{run: a}]\n")
    assert any("a → b → a" in problem for problem in found), found


def test_schema_knows_fields(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "object", "properties": {"total": {}}, "additionalProperties": false}')
    text = "when: [{http: POST /x, accepts: s.json}]\ndo: [{set: {a: '${{ event.body.totl }}'}}]\n"
    (document,) = load_text(text, str(tmp_path / "f.yaml"), str(tmp_path), KINDS)
    assert "event.body has no field totl by its schema (did you mean total?)" in str(document.problems[0])


@given(st.text(max_size=200))
def test_no_text_makes_the_loader_fall(text: str) -> None:
    for document in load_text(text, "f.yaml", "/", KINDS):
        assert document.plan is not None or document.problems


_leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=10))
_words = st.sampled_from(
    ["do", "when", "call", "with", "set", "if", "then", "parallel", "foreach", "retry", "on_error", "id", "join", "wait",
     "try", "until", "max", "switch", "cases", "output", "vars", "finally", "dedupe", "concurrency", "key", "http", "cron"]
)  # fmt: skip
_tree = st.recursive(
    _leaf,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_words, inner, max_size=4)),
    max_leaves=20,
)


@given(st.dictionaries(_words, _tree, max_size=5))
def test_no_tree_makes_the_loader_fall(tree: object) -> None:
    import json

    for document in load_text(json.dumps(tree), "f.yaml", "/", KINDS):
        assert document.plan is not None or document.problems
