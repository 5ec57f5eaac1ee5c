"""A secret never stands in the error of an expression, however the message was cut, in the run, the log or the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.expressions import compile_expression
from reactor.contracts.errors import StepFailed
from tests.daemon import Daemon

CANARY = "Zb7kQ/9x#LongCanaryOfAPassword-" + "wyz" * 40
PARTS = (CANARY[:12], CANARY[10:24], "wyzwyzwyz")

FAILING = [
    "secrets.pw + 1",
    "1 + secrets.pw",
    "int(secrets.pw)",
    "float(secrets.pw)",
    "-secrets.pw",
    "secrets.pw < 3",
    "secrets.pw == 3",
    "event.body[secrets.pw]",
    "event.body.a[secrets.pw]",
    "secrets.pw[secrets.pw]",
    "secrets.pw.length",
    "from_json(secrets.pw)",
    "from_json(json({'k': {secrets.pw: 1}})).k.missing",
    "parse_date(secrets.pw)",
    'parse_date(secrets.pw, "%d.%m.%Y")',
    'parse_date("31.01.2026", secrets.pw)',
    'format_date("2026-01-01", "%d", secrets.pw)',
    'add_duration("2026-01-01", secrets.pw)',
    'matches("a", secrets.pw + "(")',
    'extract("a", "(" + secrets.pw)',
    "range(secrets.pw)",
    "[x for x in {'a': 1}[secrets.pw]]",
    "[a for a, b in [secrets.pw]]",
    "sorted([secrets.pw, 1])",
    "sorted([{'a': 1}, {'a': 2}], by=secrets.pw)",
    "sum([secrets.pw])",
    "unbase64(secrets.pw)",
    'csv("a,b\\n" + secrets.pw)',
    "slug(secrets.pw) + 1",
    "upper(secrets.pw) + 1",
    "secrets.pw[3:20] + 1",
    "to_csv([{'a': 1}], ',', secrets.pw)",
    "{1: secrets.pw}",
]


def names(canary: str) -> dict[str, Any]:
    return {"secrets": {"pw": canary}, "event": {"body": {"a": [1], "b": 2}}}


@pytest.mark.parametrize("source", FAILING)
def test_no_part_of_a_secret_stands_in_an_error(source: str) -> None:
    with pytest.raises(StepFailed) as raised:
        compile_expression(source).evaluate(names(CANARY))
    told = json.dumps(raised.value.as_object(), default=str)
    for part in (*PARTS, CANARY[:12].upper()):
        assert part not in told, told


def test_expressions_without_secrets_still_show_values() -> None:
    with pytest.raises(StepFailed) as raised:
        compile_expression("event.body.b + 'x'").evaluate(names(CANARY))
    assert "2" in str(raised.value) and "***" not in str(raised.value)


def test_runs_log_and_stream_show_no_secret(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, env={"REACTOR_SECRET_PW": CANARY})
    for place, source in enumerate(FAILING):
        text = json.dumps("${{ " + source + " }}")
        daemon.flow(
            f"f{place}.yaml",
            f"flow: f{place}\nwhen: [{{http: {{path: /f{place}}}}}]\ndo:\n  - call: log\n    with: {{message: {text}}}\n",
        )
    with daemon:
        for place, source in enumerate(FAILING):
            answer = daemon.post(f"/hooks/f{place}?wait", {"a": [1], "b": 2})
            assert answer.status == 500, source
            run = daemon.request("GET", f"/api/v1/runs/{answer.json['run']}")
            for part in PARTS:
                assert part.encode() not in answer.raw + run.raw, (source, answer.raw)
    kept = daemon.log.read_bytes() + b"".join(file.read_bytes() for file in daemon.data.rglob("*") if file.is_file())
    for part in PARTS:
        assert part.encode() not in kept
