"""One address for the ways in and another for the rest; and the stream over a WebSocket, by a foreign client."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.daemon import Daemon, eventually

FLOW = "flow: hello\nwhen: [{http: POST /hello}, {event: greeted}]\ndo: [{set: {a: 1}}]\n"
TOKEN = "0123456789-fronts-abc"
ADMIN = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/api/v1/runs",
    "/api/v1/stream",
    "/api/v1/ws",
    "/api/v1/nothing",
]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    one.flow("hello.yaml", FLOW)
    with one:
        yield one


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    raw = json.dumps(body).encode() if body is not None else None
    connection.request(method, path, raw, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_the_ways_in_on_one_address_and_the_rest_on_another(tmp_path: Path) -> None:
    one = Daemon(tmp_path, "--admin-listen", "127.0.0.1:0")
    one.flow("hello.yaml", FLOW)
    with one as daemon:
        admin = int(daemon.wait_log("daemon.started")["admin"].rpartition(":")[2])
        assert admin != daemon.port
        assert ask(daemon.port, "POST", "/hooks/hello?wait", {})[0] == 200
        status, raw = ask(daemon.port, "POST", "/api/v1/events?type=greeted", {})
        assert status == 202 and len(json.loads(raw)["runs"]) == 1
        for path in ADMIN:
            assert ask(daemon.port, "GET", path)[0] == 404, path
        assert ask(daemon.port, "GET", "/api/v1/events")[0] == 405, "events are sent there, not listed"
        assert ask(daemon.port, "POST", "/api/v1/flows/hello/runs", {})[0] == 404
        assert ask(admin, "POST", "/hooks/hello", {})[0] == 404
        assert len(json.loads(ask(admin, "GET", "/api/v1/runs")[1])["items"]) == 2
        assert ask(admin, "GET", "/healthz")[0] == ask(admin, "GET", "/metrics")[0] == 200
        assert ask(admin, "POST", "/api/v1/flows/hello/runs", {})[0] == 202
        assert ask(admin, "GET", "/api/v1/runs", Host="evil.example")[0] == 403
        assert daemon.cli("runs").returncode == 0, "the socket has everything"
        assert daemon.cli("runs", "--server", f"http://127.0.0.1:{admin}").returncode == 0


def test_the_outside_needs_a_token_on_either_address(tmp_path: Path) -> None:
    """The ways in are open to all addresses, the rest to this machine: each front judges by its own address."""
    one = Daemon(tmp_path, "--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0", env={"REACTOR_ADMIN_TOKEN": TOKEN})
    one.flow("hello.yaml", FLOW)
    with one as daemon:
        admin = int(daemon.wait_log("daemon.started")["admin"].rpartition(":")[2])
        assert ask(daemon.port, "POST", "/hooks/hello", {}, Host="hooks.example")[0] == 202
        assert ask(daemon.port, "POST", "/api/v1/events?type=greeted", {}, Host="hooks.example")[0] == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(daemon.port, "POST", "/api/v1/events?type=greeted", {}, Host="hooks.example", **bearer)[0] == 202
        assert ask(admin, "GET", "/api/v1/runs")[0] == 401
        assert ask(admin, "GET", "/api/v1/runs", **bearer)[0] == 200
        assert ask(admin, "GET", "/api/v1/runs", Host="hooks.example", **bearer)[0] == 403, "this one is the loopback's"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--admin-listen", "0.0.0.0:0"], "listening on 0.0.0.0 lets others in, and no token is set"),
        (["--admin-listen", "here"], "--admin-listen 'here' is an address and a port"),
    ],
)
def test_bad_addresses(tmp_path: Path, options: list[str], said: str) -> None:
    daemon = Daemon(tmp_path, *options)
    daemon.start(wait=False)
    assert daemon.process is not None and daemon.process.wait(30) == 2
    assert said in daemon.log.read_text()


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon = Daemon(tmp_path, "--admin-listen", address)
        daemon.start(wait=False)
        assert daemon.process is not None and daemon.process.wait(30) == 1
    assert f"cannot listen on {address}" in daemon.log.read_text() and "--admin-listen" in daemon.log.read_text()


def until(client: Any, fact: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = json.loads(client.recv(timeout=10))
        if found["event"] == fact:
            return found


def test_a_websocket_tells_and_goes_on_where_it_was(daemon: Daemon) -> None:
    url = f"ws://127.0.0.1:{daemon.port}/api/v1/ws"
    with connect(url) as client:
        run = daemon.post("/hooks/hello", {}).json["runs"][0]["id"]
        found = until(client, "run.ended")
        assert found["data"]["run"] == run and found["data"]["status"] == "succeeded" and "_event" not in found["data"]
        client.send("what is said here is left alone")
        later = [daemon.post("/hooks/hello", {}).json["runs"][0]["id"] for _ in range(3)]
        assert [until(client, "run.ended")["data"]["run"] for _ in later] == later
    with connect(f"{url}?facts=run.ended&flow=hello&last_event_id={found['id']}") as client:
        assert [json.loads(client.recv(timeout=10))["data"]["run"] for _ in later] == later, "each once, none missed"
    for odd in ("%C2%B2", "9" * 5000, "-1", ""):  # digits that are none, or too many
        with connect(f"{url}?last_event_id={found['id'].partition('-')[0]}-{odd}") as client:
            assert json.loads(client.recv(timeout=10)) == {"event": "restarted", "data": {}}
    with connect(url, additional_headers={"Last-Event-ID": "0000-1"}) as client:
        assert json.loads(client.recv(timeout=10)) == {"event": "restarted", "data": {}}
    eventually(lambda: "reactor_stream_clients 0" in daemon.request("GET", "/metrics").raw.decode(), 10, "they left")


def test_what_a_websocket_refuses(daemon: Daemon) -> None:
    assert ask(daemon.port, "GET", "/api/v1/ws")[0] == 426
    status, raw = ask(daemon.port, "GET", "/api/v1/ws", Connection="Upgrade", Upgrade="websocket")
    assert status == 400 and b"Bad handshake" in raw
    for query, headers, code in [
        ("?facts=no.such", {}, 400),
        ("", {"Origin": "https://evil.example"}, 403),
        ("", {"Sec-Fetch-Site": "cross-site"}, 403),
    ]:
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{daemon.port}/api/v1/ws{query}", additional_headers=headers)
        assert refused.value.response.status_code == code
    with connect(f"ws://127.0.0.1:{daemon.port}/api/v1/ws") as client:
        client.send("x" * 5000)
        with pytest.raises(ConnectionClosed):
            until(client, "run.ended")
    assert daemon.post("/hooks/hello?wait", {}).status == 200
    failed = [record for record in daemon.facts() if record["fact"] == "request.failed"]
    assert not failed, failed


def test_a_websocket_ends_with_the_daemon(daemon: Daemon) -> None:
    with connect(f"ws://127.0.0.1:{daemon.port}/api/v1/ws") as client:
        daemon.post("/hooks/hello", {})
        until(client, "run.ended")
        assert daemon.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            until(client, "run.ended")
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
