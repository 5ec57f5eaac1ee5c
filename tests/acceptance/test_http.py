"""What senders see of the real daemon."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, eventually
from tests.server.raw import ask

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
CLOUD = {"specversion": "1.0", "id": "order-7", "source": "/shop", "type": "keyed"}
FLOWS = {
    "echo": "flow: echo\nwhen: [{http: 'POST /echo/{name}'}]\ndo: [{set: {a: 1}}]\noutput: {body: '${{ event.body }}', params: '${{ event.params }}', query: '${{ event.query }}'}\n",
    "fails": "flow: fails\nwhen: [{http: POST /fails}]\ndo: [{fail: {type: a.b, message: no luck}}]\n",
    "slow": "flow: slow\nwhen: [{http: POST /slow}]\ndo: [{wait: 1h}]\n",
    "answers": "flow: answers\nwhen: [{http: GET /answers}]\ndo:\n  - respond: {status: 203, headers: {X-One: '1'}, text: 'hi ${{ event.query.who }}'}\n  - wait: 1h\n",
    "perhaps": """
flow: perhaps
when: [{http: {path: /perhaps, wait: 1s}}]
only_if: event.body.do != "nothing"
do:
  - if: 'event.body.do in ["pass-later", "fail-later"]'
    then: [{wait: 50ms}]
  - {wait: 1h, only_if: 'event.body.do == "long"'}
  - {fail: no luck, only_if: 'event.body.do in ["fail", "fail-later"]'}
  - {stop: cancelled, only_if: 'event.body.do == "stop"'}
  - respond: {json: {answered: true}}
    only_if: event.body.do == "answer"
output: {output: "${{ event.body.do }}"}
""",
    "later": "flow: later\nwhen: [{http: POST /later}]\ndo:\n  - wait: 100ms\n  - respond: {json: {done: true}}\n",
    "guarded": "flow: guarded\nwhen: [{http: POST /guarded}]\nonly_if: event.body.total > 0\nunless: event.body.test\ndo: []\n",
    "broken-guard": "flow: broken-guard\nwhen: [{http: POST /broken}]\nonly_if: event.body.total > 'a'\ndo: []\n",
    "once": "flow: once\nwhen: [{http: POST /once}]\ndedupe: {key: event.body.id}\ndo: []\noutput: ${{ run.id }}\n",
    "schema": "flow: schema\nwhen: [{http: POST /schema, accepts: {type: object, required: [id]}}]\ndo: []\n",
    "small": "flow: small\nwhen: [{http: {path: /small, limit: 1KiB}}]\ndo: []\n",
    "github": "flow: github\nwhen: [{http: {path: /github, verify: {github: [old_key, new_key]}}}]\ndo: []\n",
    "standard": "flow: standard\nwhen: [{http: {path: /standard, verify: {standard: std}}}]\ndo: []\n",
    "hmac": "flow: hmac\nwhen: [{http: {path: /hmac, verify: {hmac: {secret: new_key, header: X-Sig, encoding: base64, prefix: 'v='}}}}]\ndo: []\n",
    "basic": "flow: basic\nwhen: [{http: {path: /basic, verify: {basic: {user: ada, password: new_key}}}}]\ndo: []\n",
    "bearer": "flow: bearer\nwhen: [{http: {path: /bearer, verify: {bearer: new_key}}}]\ndo: []\n",
    "two-a": "flow: two-a\nwhen: [{http: POST /two}]\ndo: []\noutput: 1\n",
    "two-b": "flow: two-b\nwhen: [{http: POST /two}]\ndo: []\noutput: 2\n",
    "typed": "flow: typed\nwhen: [{event: 'order.*'}]\ndo: []\noutput: ${{ event.data }}\n",
    "whole": "flow: whole\nwhen: [{http: POST /whole}]\ndo: []\noutput: ${{ event }}\n",
    "keyed": "flow: keyed\nwhen: [{event: keyed}]\nonly_if: has(event.key)\ndo: []\noutput: ${{ event.key }}\n",
    "inputs": "flow: inputs\nwhen:\n  - manual: {}\n    accepts:\n      type: object\n      required: [name]\n"
    "      properties: {name: {type: string}, level: {enum: [low, high]}}\n      additionalProperties: false\ndo: []\n",
    "chain": "flow: chain\nwhen: [{event: chain}]\ndo: [{emit: chain}]\n",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    env = {"REACTOR_SECRET_OLD_KEY": "old", "REACTOR_SECRET_NEW_KEY": "new-key", "REACTOR_SECRET_STD": SECRET}
    one = Daemon(tmp_path_factory.mktemp("http"), env=env)
    for name, text in FLOWS.items():
        one.flow(f"{name}.yaml", text)
    with one:
        yield one


def test_202_has_event_runs_and_location(daemon: Daemon) -> None:
    answer = daemon.post("/hooks/echo/a", {"x": 1})
    assert answer.status == 202
    assert list(answer.json) == ["event", "runs"]
    (run,) = answer.json["runs"]
    assert run == {"id": run["id"], "flow": "echo"}
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert answer.json["event"].startswith("evt_") and len(answer.json["event"]) == 36
    shown = daemon.get(f"/api/v1/runs/{run['id']}")
    assert shown["status"] == "succeeded" and shown["event"] == answer.json["event"]
    assert shown["steps"][0] | {"started": 0, "ended": 0} == {
        "path": "do/0", "id": None, "name": None, "verb": "set", "status": "succeeded", "attempts": 1, "started": 0,
        "ended": 0, "result": {"a": 1}, "error": None, "children": [],
    }  # fmt: skip


def test_wait_answers_with_the_output(daemon: Daemon) -> None:
    answer = daemon.post("/hooks/echo/b?wait=5s&q=1", {"x": [1, 2.5, None, 2**63]})
    assert answer.status == 200
    assert answer.json == {"body": {"x": [1, 2.5, None, 2**63]}, "params": {"name": "b"}, "query": {"q": "1"}}
    assert daemon.post("/hooks/slow?wait=100ms").status == 202
    failed = daemon.post("/hooks/fails?wait")
    assert failed.status == 500 and failed.headers["content-type"] == "application/problem+json"
    assert failed.json["detail"] == "no luck" and failed.json["run"].startswith("run_")
    assert daemon.post("/hooks/echo/b?wait=6m").status == 400
    both = daemon.post("/hooks/two?wait").json
    assert sorted((run["flow"], run["output"]) for run in both["runs"]) == [("two-a", 1), ("two-b", 2)]


def test_bodies_by_content_type(daemon: Daemon) -> None:
    def sent(raw: bytes, type: str) -> object:
        return daemon.post("/hooks/echo/c?wait", raw=raw, headers={"Content-Type": type}).json["body"]

    assert sent(b"a=1&b=2&b=3", "application/x-www-form-urlencoded") == {"a": "1", "b": ["2", "3"]}
    assert sent("größe".encode(), "text/plain") == "größe"
    assert sent(b"\xff\x00", "application/octet-stream") == base64.b64encode(b"\xff\x00").decode()
    assert sent(b'{"a": 1}', "application/vnd.x+json") == {"a": 1}


def test_respond_answers_without_wait(daemon: Daemon) -> None:
    answer = daemon.request("GET", "/hooks/answers?who=Ada")
    assert (answer.status, answer.raw, answer.headers["x-one"]) == (203, b"hi Ada", "1")
    answer = daemon.post("/hooks/later")
    assert (answer.status, answer.json) == (200, {"done": True})


def test_a_run_that_ends_without_reaching_its_respond_answers_as_with_wait(daemon: Daemon) -> None:
    assert daemon.post("/hooks/perhaps", {"do": "answer"}).json == {"answered": True}
    for do in ("pass", "pass-later"):
        answer = daemon.post("/hooks/perhaps", {"do": do})
        assert (answer.status, answer.json) == (200, {"output": do}), answer.raw
        assert answer.headers["location"].startswith("/api/v1/runs/run_")
    for do in ("fail", "fail-later"):
        answer = daemon.post("/hooks/perhaps", {"do": do})
        assert answer.status == 500 and answer.headers["content-type"] == "application/problem+json", answer.raw
        assert answer.json["run"].startswith("run_") and answer.json["error"]["message"] == "no luck"
        assert answer.json["flow"] == "perhaps" and answer.json["detail"] == "no luck"
    answer = daemon.post("/hooks/perhaps", {"do": "stop"})
    assert (answer.status, answer.json["title"]) == (500, "The run cancelled")
    refused = daemon.post("/hooks/perhaps", {"do": "nothing"})
    assert (refused.status, refused.json["runs"]) == (202, [])
    late = daemon.post("/hooks/perhaps", {"do": "long"})
    assert late.status == 202 and len(late.json["runs"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "raw", "type", "status"),
    [
        ("POST", "/hooks/nowhere", b"", "", 404),
        ("GET", "/hooks/echo/x", b"", "", 405),
        ("POST", "/hooks/echo/x", b"{", "application/json", 400),
        ("POST", "/hooks/echo/x", b"[" * 100_000, "application/json", 400),
        ("POST", "/hooks/small", b"x" * 2000, "text/plain", 413),
        ("POST", "/hooks/schema", b"{}", "application/json", 422),
        ("POST", "/hooks/echo/x", b"\xff", "text/plain; charset=utf-8", 400),
        ("GET", "/api/v1/nothing", b"", "", 404),
        ("DELETE", "/api/v1/runs", b"", "", 405),
        ("GET", "/api/v1/runs?limit=0", b"", "", 400),
        ("GET", "/api/v1/runs?cursor=x", b"", "", 400),
        ("GET", "/api/v1/runs?status=odd", b"", "", 400),
        ("GET", "/api/v1/runs/run_none", b"", "", 404),
        ("POST", "/api/v1/events", b"{}", "application/json", 400),
        ("POST", "/api/v1/events?type=reactor.run.failed", b"{}", "application/json", 403),
        ("POST", "/api/v1/flows/none/runs", b"{}", "application/json", 404),
    ],
)
def test_refusals_are_problems(daemon: Daemon, method: str, path: str, raw: bytes, type: str, status: int) -> None:
    answer = daemon.request(method, path, raw=raw or None, headers={"Content-Type": type} if type else {})
    assert answer.status == status, answer.raw
    assert answer.json["status"] == status and answer.json["title"]
    if status == 405:
        assert answer.headers["allow"]


def test_guards_and_why(daemon: Daemon) -> None:
    taken = daemon.post("/hooks/guarded", {"total": 5}).json
    assert len(taken["runs"]) == 1
    refused = daemon.post("/hooks/guarded", {"total": 0})
    assert refused.status == 202 and refused.json["runs"] == []
    assert refused.headers["location"] == f"/api/v1/events/{refused.json['event']}"
    verdicts = {v["flow"]: v for v in daemon.get(f"/api/v1/events/{refused.json['event']}/why")["verdicts"]}
    assert verdicts["guarded"]["verdict"] == "only_if" and verdicts["guarded"]["line"] == 3
    assert verdicts["guarded"]["names"] == {"event.body.total": 0} and verdicts["guarded"]["value"] is False
    assert verdicts["echo"]["verdict"] == "no_match"
    missing = daemon.post("/hooks/guarded", {}).json
    verdicts = {v["flow"]: v for v in daemon.get(f"/api/v1/events/{missing['event']}/why")["verdicts"]}
    assert verdicts["guarded"]["message"] == "missing event.body.total"
    tested = daemon.post("/hooks/guarded", {"total": 1, "test": True}).json
    verdicts = {v["flow"]: v for v in daemon.get(f"/api/v1/events/{tested['event']}/why")["verdicts"]}
    assert verdicts["guarded"]["verdict"] == "unless"
    broken = daemon.post("/hooks/broken", {"total": 1})
    assert broken.status == 202
    verdicts = {v["flow"]: v for v in daemon.get(f"/api/v1/events/{broken.json['event']}/why")["verdicts"]}
    assert verdicts["broken-guard"]["verdict"] == "error"
    started = daemon.get(f"/api/v1/events/{taken['event']}/why")["verdicts"]
    assert next(v for v in started if v["flow"] == "guarded")["run"] == taken["runs"][0]["id"]


def test_dedupe_and_identity_answer_with_the_first_run(daemon: Daemon) -> None:
    first, again = daemon.post("/hooks/once", {"id": 1}).json, daemon.post("/hooks/once", {"id": 1}).json
    assert first["runs"] == again["runs"] and first["event"] != again["event"]
    waited = daemon.post("/hooks/once?wait=2s", {"id": 1})
    assert (waited.status, waited.json) == (200, first["runs"][0]["id"])
    key = {"Idempotency-Key": "k-1"}
    one, two = (daemon.post("/hooks/echo/x", {"n": n}, headers=key).json for n in (1, 2))
    assert one == two


def test_headers_and_query_keep_all_values(daemon: Daemon) -> None:
    lines = [b"X-Tag: a", b"X-Tag: b", b"x-tag: c, d", b"Cookie: s=1", b"Cookie: t=2", b"X-One: 1"]
    event = ask(daemon.port, b"/hooks/whole?tag=a&tag=&tag=b&n=1&wait", *lines, body=b"{}").json
    assert event["headers"]["x-tag"] == "a, b, c, d" and event["headers_all"]["x-tag"] == ["a", "b", "c, d"]
    assert event["headers_all"]["x-one"] == ["1"] and event["headers_all"].keys() == event["headers"].keys()
    assert event["headers"]["cookie"] == "***" and event["headers_all"]["cookie"] == ["***", "***"]
    assert event["query"] == {"tag": "b", "n": "1"} and event["query_all"] == {"tag": ["a", "", "b"], "n": ["1"]}
    stored = daemon.get(f"/api/v1/events/{event['id']}")["event"]
    assert stored["query_all"] == event["query_all"] and stored["headers_all"] == event["headers_all"]
    once = ask(daemon.port, b"/hooks/whole?n=1&wait", body=b"{}").json
    assert once["query_all"] == {"n": ["1"]} and once["headers_all"]["host"] == ["localhost"]
    assert ask(daemon.port, b"/hooks/whole?wait", body=b"{}").json["query_all"] == {}


def test_an_events_own_key_is_read_by_flows(daemon: Daemon) -> None:
    for type, headers in (
        ("application/cloudevents+json", {}),
        ("application/json", {f"ce-{name}": CLOUD[name] for name in ("specversion", "id", "source", "type")}),
    ):
        sent = CLOUD if type.startswith("application/cloudevents") else {"n": 1}
        answer = daemon.post("/api/v1/events?wait", sent, headers={"Content-Type": type, **headers})
        assert answer.json["runs"][0]["output"] == "order-7", answer.raw
    assert daemon.post("/hooks/whole?wait", {}, headers={"Idempotency-Key": "k-9"}).json["key"] == "k-9"
    assert daemon.post("/hooks/whole?wait", {}).json["key"] is None
    empty = [daemon.post("/hooks/whole", {}, headers={"Idempotency-Key": ""}).json["event"] for _ in range(2)]
    assert empty[0] != empty[1], "an empty key is none"


def test_a_key_on_the_command_line_is_sent_or_refused(daemon: Daemon) -> None:
    sent = daemon.cli("send", "keyed", "--key", "clé", "--json")
    assert sent.returncode == 0, sent.stderr
    assert daemon.get(f"/api/v1/events/{json.loads(sent.stdout)['event']}")["key"] == "clé"
    for key in ("Łódź", "a\nX-Evil: 1", "a\x7f"):
        for command in (["send", "keyed"], ["queues", "push", "q", "--data", "1"]):
            refused = daemon.cli(*command, "--key", key)
            assert refused.returncode == 1 and "--key" in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_who_waits_for_a_run_is_told_why_none_started(daemon: Daemon) -> None:
    refused = daemon.post("/hooks/guarded?wait", {"total": 0})
    assert refused.status == 202 and refused.json["runs"] == []
    assert "no run was started: guarded: only_if is not true (event.body.total > 0, line 3)" in refused.json["detail"]
    assert [(v["flow"], v["verdict"], v["line"]) for v in refused.json["verdicts"]] == [("guarded", "only_if", 3)]
    tested = daemon.post("/hooks/guarded?wait=1s", {"total": 1, "test": True}).json
    assert "unless is true" in tested["detail"]
    broken = daemon.post("/hooks/broken?wait", {"total": 1}).json
    assert "an expression failed" in broken["detail"] and broken["verdicts"][0]["message"] in broken["detail"]
    nobody = daemon.post("/api/v1/events?type=nobody.listens&wait", {}).json
    assert nobody["runs"] == [] and nobody["detail"] == "no run was started: no flow listens for this event"
    assert nobody["verdicts"] == []
    assert "detail" not in daemon.post("/hooks/guarded", {"total": 0}).json


def test_inputs_that_do_not_fit_are_a_sentence(daemon: Daemon) -> None:
    refused = daemon.post("/api/v1/flows/inputs/runs", {})
    assert refused.status == 422 and refused.json["detail"] == "inputs cannot start: name is required but missing"
    wrong = daemon.post("/api/v1/flows/inputs/runs", {"name": 1, "level": "top", "odd": 1})
    for said in ("name must be a text, not 1", 'level must be low or high, not "top"', "odd is not a known field"):
        assert said in wrong.json["detail"]
    assert (
        daemon.post("/api/v1/flows/inputs/runs", [1]).json["detail"].endswith("the inputs must be an object, not [1]")
    )
    for arguments in ([], ["--input", "{}"]):
        done = daemon.cli("start", "inputs", *arguments)
        assert (done.returncode, done.stderr) == (1, "reactor: inputs cannot start: name is required but missing\n")
    assert daemon.cli("start", "inputs", "--input", '{"name": "Ada"}').returncode == 0


def signed(raw: bytes, id: str = "msg_1", at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.digest(base64.b64decode(secret[6:]), f"{id}.{stamp}.".encode() + raw, "sha256")
    return {
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1,abc v1," + base64.b64encode(digest).decode(),
    }


def test_signatures(daemon: Daemon) -> None:
    raw = b'{"a": 1}'
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert daemon.post("/hooks/standard", raw=raw, headers=signed(raw)).status == 202
    assert daemon.post("/hooks/standard", raw=raw + b" ", headers=signed(raw, "m2")).status == 401
    assert daemon.post("/hooks/standard", raw=raw, headers=signed(raw, "m3", time.time() - 400)).status == 401
    assert daemon.post("/hooks/standard", raw=raw, headers=signed(raw, "m4", secret=other)).status == 401
    refused = daemon.post("/hooks/standard", raw=raw)
    assert refused.status == 401 and "detail" not in refused.json
    first = daemon.post("/hooks/standard", raw=raw, headers=signed(raw, "same")).json
    assert daemon.post("/hooks/standard", raw=raw, headers=signed(raw, "same")).json == first
    for secret in ("old", "new-key"):
        digest = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        assert daemon.post("/hooks/github", raw=raw, headers={"X-Hub-Signature-256": f"sha256={digest}"}).status == 202
    assert daemon.post("/hooks/github", raw=raw, headers={"X-Hub-Signature-256": "sha256=00"}).status == 401
    digest = base64.b64encode(hmac.digest(b"new-key", raw, "sha256")).decode()
    assert daemon.post("/hooks/hmac", raw=raw, headers={"X-Sig": f"v={digest}"}).status == 202
    assert daemon.post("/hooks/hmac", raw=raw, headers={"X-Sig": digest}).status == 401
    basic = base64.b64encode(b"ada:new-key").decode()
    assert daemon.post("/hooks/basic", raw=raw, headers={"Authorization": f"Basic {basic}"}).status == 202
    assert daemon.post("/hooks/basic", raw=raw, headers={"Authorization": "Basic xx"}).status == 401
    assert daemon.post("/hooks/bearer", raw=raw, headers={"Authorization": "Bearer new-key"}).status == 202
    assert daemon.post("/hooks/bearer", raw=raw, headers={"Authorization": "Bearer new-key2"}).status == 401


def test_published_vectors_and_the_foreign_signer(daemon: Daemon) -> None:
    from standardwebhooks import Webhook

    github = hmac.new(b"It's a Secret to Everybody", b"Hello, World!", hashlib.sha256).hexdigest()
    assert github == "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    import datetime

    now = datetime.datetime.now(datetime.UTC)
    signature = Webhook(SECRET).sign("foreign", now, '{"a": 2}')
    headers = {"webhook-id": "foreign", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert daemon.post("/hooks/standard", raw=b'{"a": 2}', headers=headers).status == 202


def test_credentials_are_not_stored(daemon: Daemon) -> None:
    answer = daemon.post("/hooks/bearer", {"a": 1}, headers={"Authorization": "Bearer new-key"}).json
    assert "new-key" not in json.dumps(daemon.get(f"/api/v1/events/{answer['event']}"))
    assert b"new-key" not in daemon.log.read_bytes()


def test_cloudevents_in_every_form(daemon: Daemon) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "order.created", "data": {"n": 1}, "ext": "e"}
    structured = daemon.post("/api/v1/events", event, headers={"Content-Type": "application/cloudevents+json"})
    assert structured.status == 202 and structured.json["runs"][0]["flow"] == "typed"
    shown = daemon.get(f"/api/v1/events/{structured.json['event']}")["event"]
    assert shown["extensions"]["ext"] == "e" and shown["source"] == "/s"
    headers = {"ce-specversion": "1.0", "ce-id": "2", "ce-source": "/s", "ce-type": "order.paid"}
    binary = daemon.post("/api/v1/events?wait", {"n": 2}, headers=headers)
    assert binary.status == 200 and binary.json["runs"][0]["output"] == {"n": 2}
    batch = [{**event, "id": "3"}, {**event, "id": "3"}, {"specversion": "1.0"}]
    many = daemon.post("/api/v1/events", batch, headers={"Content-Type": "application/cloudevents-batch+json"})
    assert many.status == 207 and many.json[0] == many.json[1] and many.json[2]["error"]["status"] == 400
    lines = "\n".join([json.dumps({**event, "id": "5"}), "{", ""])
    ndjson = daemon.post("/api/v1/events", raw=lines.encode(), headers={"Content-Type": "application/x-ndjson"})
    assert ndjson.json[0]["runs"] and ndjson.json[1]["error"]["title"] == "Not a CloudEvent"


def test_the_cloudevents_library_is_understood(daemon: Daemon) -> None:
    from cloudevents.core.bindings.http import to_binary_event, to_structured_event
    from cloudevents.core.v1.event import CloudEvent

    attributes = {
        "type": "order.made",
        "source": "/sdk",
        "id": "x-1",
        "specversion": "1.0",
        "datacontenttype": "application/json",
    }
    for number, convert in enumerate((to_binary_event, to_structured_event)):
        message = convert(CloudEvent(attributes={**attributes, "id": f"x-{number}"}, data={"k": "v"}))
        answer = daemon.post("/api/v1/events?wait", raw=bytes(message.body), headers=dict(message.headers))
        assert answer.json["runs"][0]["output"] == {"k": "v"}, answer.raw


def test_a_chain_of_events_is_cut_off(daemon: Daemon) -> None:
    daemon.post("/api/v1/events?type=chain", {})

    def cut() -> bool:
        events = daemon.get("/api/v1/events?type=chain&limit=50")["items"]
        return any(v["verdict"] == "depth" for event in events for v in event["verdicts"])

    eventually(cut, 10, "no verdict depth")
    assert len(daemon.get("/api/v1/events?type=chain&limit=50")["items"]) == 12


def test_foreign_hosts_and_other_sites_are_refused(daemon: Daemon) -> None:
    assert daemon.request("GET", "/api/v1/runs", headers={"Host": "evil.example"}).status == 403
    assert daemon.request("GET", "/api/v1/runs", headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert daemon.request("POST", "/api/v1/events?type=a", headers={"Origin": "https://evil.example"}).status == 403
    assert daemon.post("/hooks/echo/x", {}, headers={"Host": "evil.example"}).status == 202


def test_requests_that_two_parsers_read_differently_are_refused(daemon: Daemon) -> None:
    import socket

    for head in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Host: other\r\nContent-Length: 0",
        b"Transfer-Encoding: chunked, chunked",
    ):
        with socket.create_connection(("127.0.0.1", daemon.port), 5) as one:
            one.sendall(b"POST /hooks/echo/x HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n0\r\n\r\n")
            assert b" 400 " in one.recv(200).split(b"\r\n")[0]


def test_the_body_may_come_in_chunks(daemon: Daemon) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=10)
    connection.request(
        "POST",
        "/hooks/echo/x?wait",
        iter([b'{"a"', b": 1}"]),
        {"Content-Type": "application/json"},
        encode_chunked=True,
    )
    assert json.loads(connection.getresponse().read())["body"] == {"a": 1}
    connection.request(
        "POST", "/hooks/small", iter([b"x" * 600, b"y" * 600]), {"Content-Type": "text/plain"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_every_route_has_a_right_and_the_zero_value_refuses() -> None:
    from reactor.server.auth import Access
    from reactor.server.routes import all_routes
    from reactor.server.routing import Problem

    class Anything:
        def __getattr__(self, name: str) -> object:
            return None

    routes = all_routes(Anything())  # type: ignore[arg-type]
    assert len(routes) > 15 and {route.right for route in routes} == {"public", "send", "admin"}
    assert {route.path for route in routes if route.right == "public"} == {"/healthz", "/readyz"}
    for access in (Access(None, False, frozenset()), Access("t" * 20, True, frozenset())):
        with pytest.raises(Problem):
            access.check("", {"host": "localhost"}, False)  # type: ignore[arg-type]
    outside = Access("t" * 20, False, frozenset())
    for route in routes:
        if route.right != "public":
            with pytest.raises(Problem):
                outside.check(route.right, {"host": "x"}, False)
            outside.check(route.right, {"host": "x", "authorization": "Bearer " + "t" * 20}, False)


def test_readiness(daemon: Daemon, tmp_path: Path) -> None:
    assert daemon.get("/healthz")["status"] == "ok"
    assert daemon.get("/readyz")["flows"] == len(FLOWS)
