"""Text that cannot be UTF-8: an error of the step that makes it, through the real daemon, and no neighbour notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.expressions import compile_expression
from reactor.contracts.errors import StepFailed
from tests.daemon import Daemon

HALF = r'"\ud83d"'

STEPS = {
    "set": "  - set: {x: '${{ HALF }}'}",
    "with": "  - call: json.read\n    with: {path: 'in/${{ HALF }}'}",
    "emit-data": "  - emit: a.b\n    data: {x: ['${{ HALF }}']}",
    "emit-type": "  - emit: 'a.${{ HALF }}'",
    "queue": "  - queue: jobs\n    data: {'k': '${{ HALF }}'}",
    "queue-name": "  - queue: 'q${{ HALF }}'\n    data: 1",
    "run": "  - run: child\n    with: {x: '${{ HALF }}'}",
    "respond": "  - respond: {body: 'x${{ HALF }}'}",
    "respond-header": "  - respond: {headers: {X-A: '${{ HALF }}'}, body: ok}",
    "foreach": "  - foreach: '[HALF]'\n    do: [{set: {a: 1}}]",
    "fail": "  - fail: 'bad ${{ HALF }}'",
    "wait": "  - wait: '${{ HALF }}'",
    "env": "  - set: {x: '${{ env.ODD }}'}",
    "env-joined": "  - set: {x: 'a ${{ env.ODD }} b'}",
    "json": "  - set: {x: '${{ json([HALF]) }}'}",
    "key": "  - set: {x: '${{ {HALF: 1} }}'}",
    "log": "  - call: log\n    with: {message: '${{ HALF }}'}",
}


def test_half_a_character_is_an_error_of_its_step_wherever_it_would_leave_it(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--env", "ODD", env={"ODD": "odd\udcff"})
    for name, step in STEPS.items():
        daemon.flow(
            f"{name}.yaml",
            f"flow: {name}\nwhen: [{{http: {{path: /{name}}}}}]\ndo:\n{step}\noutput: done\n".replace("HALF", HALF),
        )
    daemon.flow("child.yaml", "flow: child\nwhen: [{http: {path: /child}}]\ndo: []\noutput: fine\n")
    daemon.flow(
        "output.yaml",
        f"flow: output\nwhen: [{{http: {{path: /output}}}}]\ndo: []\noutput: {{x: '${{{{ {HALF} }}}}'}}\n",
    )
    daemon.flow(
        "keyed.yaml",
        f"flow: keyed\nwhen: [{{http: {{path: /keyed}}}}]\nconcurrency: {{key: '{HALF}'}}\ndo: []\noutput: fine\n",
    )
    with daemon:
        for name in (*STEPS, "output"):
            answer = daemon.request("POST", f"/hooks/{name}?wait", {})
            assert answer.status == 500, (name, answer.status, answer.raw)
            error = answer.json["error"]
            assert error["type"] == "expression", (name, error)
            run = daemon.request("GET", f"/api/v1/runs/{answer.json['run']}?steps=true")
            assert run.status == 200 and run.json["status"] == "failed", name
        keyed = daemon.request("POST", "/hooks/keyed?wait", {})
        assert keyed.status < 500
        assert daemon.request("POST", "/hooks/child?wait", {}).json == "fine"
        assert daemon.process is not None and daemon.process.poll() is None


@pytest.mark.parametrize(
    "source", [r'"\ud83d"', r'["a", {"b": "\udcff"}]', r'{"\ud800": 1}', r'f"{1}\ud83d"', r'"a" + "\ud83d"']
)
def test_a_value_with_half_a_character_is_an_expression_error(source: str) -> None:
    with pytest.raises(StepFailed) as raised:
        compile_expression(source).evaluate({})
    assert raised.value.type == "expression"
    assert "UTF-8" in str(raised.value)
    str(raised.value).encode()


def test_a_pair_of_escapes_is_one_character_as_in_json() -> None:
    assert compile_expression(r'"\ud83d\ude00"').evaluate({}) == "\U0001f600"
    assert compile_expression(r'"\ud83d" == "a"').evaluate({}) is False
