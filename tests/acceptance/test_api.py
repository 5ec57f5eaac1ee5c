"""The API against its own description: complete, and no request that follows it (or does not) is a server error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from reactor.contracts.errors import error_object
from reactor.contracts.verdicts import ShownVerdict
from reactor.server import answers
from reactor.server.openapi import description
from reactor.server.routes import all_routes
from reactor.server.schemas import SCHEMAS
from tests.daemon import Daemon

FLOWS = {
    "order": "flow: order\nwhen: [{http: POST /order}, {event: 'order.*'}]\nonly_if: default(event.data.n, 1) > 0\n"
    "do: [{call: uuid}, {queue: jobs, data: 1}]\noutput: {a: 1}\n",
    "loop": "flow: loop\nwhen: [manual]\ndo:\n  - foreach: '[1, 2, 3]'\n    do: [{if: item > 1, then: [{wait: 1h}]}]\n",
    "fails": "flow: fails\nwhen: [{http: POST /fails}]\ndo: [{call: file.read, with: {path: none}}]\n",
    "inputs": "flow: inputs\nwhen: [{manual: {inputs: {type: object, required: [a]}}}]\ndo: []\n",
    "broken": "flow: broken\nwhen: [{http: POST /x}]\ndo: [{no: such}]\n",
    "connections/api": "kind: http\nsettings: {url: 'http://127.0.0.1:1'}\n",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("api"))
    for name, text in FLOWS.items():
        one.flow(f"{name}.yaml", text)
    with one:
        one.post("/hooks/order?wait", {"n": 1})
        one.post("/hooks/order", {"n": 0})
        one.post("/hooks/fails?wait", {})
        one.post("/api/v1/flows/loop/runs")
        yield one


def test_every_answer_has_the_described_shape(daemon: Daemon) -> None:
    document = daemon.get("/openapi.json")
    runs = daemon.get("/api/v1/runs")["items"]
    events = daemon.get("/api/v1/events")["items"]
    assert len(runs) >= 3 and len(events) >= 3
    seen = 0
    for path, methods in document["paths"].items():
        if "get" not in methods or path == "/api/v1/stream":
            continue
        fills: list[str] = [""]
        if path.startswith("/api/v1/runs/{"):
            fills = [run["id"] for run in runs]
        elif path.startswith("/api/v1/events/{"):
            fills = [event["id"] for event in events]
        elif path.startswith("/api/v1/flows/{"):
            fills = ["order", "loop"]
        elif path.startswith("/api/v1/actions/{"):
            fills = ["http.post", "email.send"]
        for fill in fills:
            answer = daemon.request("GET", path.replace("{id}", fill).replace("{name}", fill))
            described = methods["get"]["responses"][str(answer.status)]["content"]
            (kind,) = described
            assert answer.headers["content-type"].startswith(kind), path
            if kind == "application/json":
                schema = {**described[kind]["schema"], "components": document["components"]}
                problems = [e.message for e in jsonschema_rs.Draft202012Validator(schema).iter_errors(answer.json)]
                assert not problems, (path, problems)
                seen += 1
    assert seen >= 20


def test_every_route_is_described_and_has_a_right() -> None:
    class Anything:
        def __getattr__(self, name: str) -> Any:
            return None

    routes = all_routes(Anything())  # type: ignore[arg-type]
    document: Any = description(routes, "1")
    assert len(routes) >= 28
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(routes)
    for route in routes:
        operation = document["paths"][route.path][route.method.lower()]
        assert operation["summary"] == route.doc.summary
        public = operation["security"] == [{}]
        assert public == (route.right == "public") and (route.path in ("/healthz", "/readyz")) == public


def test_schemas_are_made_from_the_structs_that_are_answered() -> None:
    for shape, name in ((answers.Flow, "Flow"), (answers.Step, "Step"), (ShownVerdict, "Verdict")):
        schema = SCHEMAS[name]
        fields = msgspec.structs.fields(shape)
        assert list(schema["properties"]) == [field.name for field in fields]  # type: ignore[call-overload]
        assert schema["required"] == [field.name for field in fields if field.required]
        assert schema["additionalProperties"] is False
    assert SCHEMAS["FlowItem"]["required"] == ["name", "file", "version", "enabled", "state", "triggers", "problems"]
    assert list(SCHEMAS["Error"]["properties"]) == list(error_object("x", "y"))  # type: ignore[call-overload]
    text = json.dumps(SCHEMAS)
    named = set(re.findall(r'"#/components/schemas/([A-Za-z]+)"', text))
    assert named <= set(SCHEMAS)


def test_schemathesis_finds_no_server_error(daemon: Daemon) -> None:
    document = daemon.get("/openapi.json")
    del document["paths"]["/api/v1/stream"]
    schema = schemathesis.openapi.from_dict(document)
    count = 0
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]

    for operation in schema.get_all_operations():
        assert isinstance(operation, Ok), operation
        strategy = operation.ok().as_strategy()

        @settings(
            max_examples=25, deadline=None, phases=[Phase.generate], derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=strategy)
        def one(case: Any) -> None:
            nonlocal count
            response = case.call(base_url=f"http://127.0.0.1:{daemon.port}")
            count += 1
            case.validate_response(response, checks=checks)

        one()
    assert count > 400
    assert daemon.get("/healthz")["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/runs?limit=0", None, 400),
        ("GET", "/api/v1/runs?cursor=-1", None, 400),
        ("GET", "/api/v1/runs?status=done", None, 400),
        ("GET", "/api/v1/runs?since=yesterday", None, 400),
        ("GET", "/api/v1/runs/%00", None, 404),
        ("GET", "/api/v1/runs/run_1/steps?under=" + "x" * 5000, None, 404),
        ("GET", "/api/v1/events/evt_1/why", None, 404),
        ("POST", "/api/v1/runs/run_1/cancel", b"[1]", 404),
        ("POST", "/api/v1/flows/none/runs", b"{}", 404),
        ("POST", "/api/v1/flows/inputs/runs", b"{}", 422),
        ("POST", "/api/v1/flows/order/runs?wait=forever", b"{}", 400),
        ("POST", "/api/v1/flows/order/runs", b"{", 400),
        ("POST", "/api/v1/webhooks/enable", b"{}", 400),
        ("POST", "/api/v1/webhooks/enable", b'{"url": "http://none"}', 404),
        ("POST", "/api/v1/connections/none/check", None, 404),
        ("DELETE", "/api/v1/runs", None, 405),
        ("GET", "/api/v2/runs", None, 404),
    ],
)
def test_bad_requests_are_problems(daemon: Daemon, method: str, path: str, body: bytes | None, status: int) -> None:
    answer = daemon.request(method, path, raw=body, headers={"Content-Type": "application/json"})
    assert answer.status == status, answer.raw
    problem = json.loads(answer.raw)
    assert problem["status"] == status and answer.headers["content-type"] == "application/problem+json"


def test_the_files_of_the_check_are_sarif(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow("a.yaml", "flow: a\nwhen: [{htp: x}]\ndo: []\n")
    done = daemon.cli("check", "--format", "sarif", str(daemon.flows))
    assert done.returncode == 1
    (run,) = json.loads(done.stdout)["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("a.yaml") and place["region"]["startLine"] == 2
    found = json.loads(daemon.cli("check", "--format", "json", str(daemon.flows)).stdout)
    assert found[0]["line"] == 2 and found[0]["severity"] == "error"
