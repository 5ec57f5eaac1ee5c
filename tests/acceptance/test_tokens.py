"""The admin token: who has to show it, and what becomes of those who show a wrong one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.server.raw import ask

TOKEN = "0123456789abcdefghij"
BEARER = b"Authorization: Bearer " + TOKEN.encode()
REASONS = ("wrong_token", "missing_token", "not_bearer")
FLOW = "flow: hello\nwhen: [{http: POST /hello}, {event: greeted}]\ndo: [{set: {a: 1}}]\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("tokens"), env={"REACTOR_ADMIN_TOKEN": TOKEN})
    one.flow("hello.yaml", FLOW)
    with one:
        yield one


def count(daemon: Daemon, reason: str) -> float:
    text = ask(daemon.port, b"/metrics", BEARER, method=b"GET", body=None).raw.decode()
    found = re.search(rf'^reactor_auth_failures_total{{reason="{reason}"}} (.*)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_loopback_asks_for_a_token_that_is_set(daemon: Daemon) -> None:
    for target, method in (
        (b"/api/v1/events?type=greeted", b"POST"), (b"/metrics", b"GET"), (b"/api/v1/runs", b"GET"),
        (b"/openapi.json", b"GET"), (b"/api/v1/stats", b"GET"), (b"/api/v1/queues/q", b"POST"),
    ):  # fmt: skip
        body = b"{}" if method == b"POST" else None
        refused = ask(daemon.port, target, method=method, body=body)
        assert refused.status == 401 and refused.headers["www-authenticate"] == "Bearer", target
        assert refused.headers["x-content-type-options"] == "nosniff" and "detail" not in refused.json
        assert ask(daemon.port, target, BEARER, method=method, body=body).status in (200, 202), target
    for target in (b"/healthz", b"/readyz"):
        assert ask(daemon.port, target, method=b"GET", body=None).status == 200
    assert ask(daemon.port, b"/hooks/hello", body=b"{}").status == 202
    assert daemon.cli("runs").returncode == 0, "the socket is its owner's only"
    server = f"http://127.0.0.1:{daemon.port}"
    assert daemon.cli("runs", "--server", server).returncode == 0, "the token is in the environment"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost", 200), (b"LOCALHOST:1", 200), (b"127.0.0.1:8420", 200), (b"[::1]", 200), (b"[::1]:8420", 200),
        (b"[::1].evil", 403), (b"[::1]evil:1", 403), (b"[::1", 403), (b"[::1]:80:80", 403), (b"localhost:80@evil", 403),
        (b"evil", 403), (b"localhost.evil", 403), (b"127.0.0.1.evil", 403), (b"evil:127.0.0.1", 403), (b"", 403),
        (b"localhost/evil", 403), (b"[::ffff:1]", 403), (b"evil#localhost", 403), (b"localhost evil", 403),
    ],
)  # fmt: skip
def test_only_this_machines_hosts(daemon: Daemon, host: bytes, status: int) -> None:
    assert ask(daemon.port, b"/api/v1/runs", BEARER, method=b"GET", body=None, host=host).status == status


@pytest.mark.parametrize(
    "origin", [b"http://[", b"null", b"http://localhost@evil", b"http://evil", b"localhost", b"//localhost"]
)
def test_only_this_sites_pages(daemon: Daemon, origin: bytes) -> None:
    lines = (BEARER, b"Origin: " + origin)
    assert ask(daemon.port, b"/api/v1/runs", *lines, method=b"GET", body=None).status == 403
    same = (BEARER, b"Origin: http://localhost")
    assert ask(daemon.port, b"/api/v1/runs", *same, method=b"GET", body=None).status == 200


def test_wrong_tokens_are_counted_written_once_and_cost_others_nothing(daemon: Daemon) -> None:
    before = {reason: count(daemon, reason) for reason in REASONS}

    def wrong(number: int) -> int:
        return ask(
            daemon.port, b"/metrics", b"Authorization: Bearer wrong-%d" % number, method=b"GET", body=None
        ).status

    over = threading.Event()
    others: list[int] = []

    def right() -> None:
        while not over.is_set():
            others.append(ask(daemon.port, b"/api/v1/runs", BEARER, method=b"GET", body=None).status)

    neighbour = threading.Thread(target=right)
    neighbour.start()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(wrong, range(500))) == {401}
    over.set()
    neighbour.join()
    assert others and set(others) == {200}
    assert ask(daemon.port, b"/metrics", method=b"GET", body=None).status == 401
    assert ask(daemon.port, b"/metrics", b"Authorization: Basic YTpi", method=b"GET", body=None).status == 401
    assert [count(daemon, reason) - before[reason] for reason in REASONS] == [500, 1, 1]
    daemon.wait_log("auth.failed", reason="not_bearer")
    lines = [fact for fact in daemon.facts() if fact["fact"].startswith("auth.")]
    assert sorted(line["reason"] for line in lines) == sorted(REASONS), "one line a burst"
    assert all(line["level"] == "warning" and line["address"] == "127.0.0.1" for line in lines)
    assert "wrong-" not in daemon.log.read_text() and TOKEN not in daemon.log.read_text()


@pytest.mark.parametrize("token", ["a" * 16, "0" * 64, "short", "x" * 15])
def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path, token: str) -> None:
    daemon = Daemon(tmp_path, env={"REACTOR_ADMIN_TOKEN": token})
    daemon.start(wait=False)
    assert daemon.process is not None and daemon.process.wait(30) == 2
    said = daemon.log.read_text()
    assert "REACTOR_ADMIN_TOKEN" in said and token not in said and len(said.strip().splitlines()) == 1
