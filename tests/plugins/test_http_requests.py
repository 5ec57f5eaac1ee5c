"""What leaves with a request: forms and queries by one rule, headers that HTTP allows, shared connections."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from plugins.actions import http as actions
from plugins.connections.http import Http
from plugins.http_client.request import joined, pairs
from plugins.http_client.settings import Settings
from reactor.contracts.errors import StepFailed
from reactor.kit.clock import SystemClock
from reactor.lending.clients import IDLE, MOST, SharedClients
from tests.plugins.answers import Raw, answer
from tests.plugins.test_http import call, context
from tests.waiting import soon

pytestmark = pytest.mark.anyio

KEEP = answer(b"ok").replace(b"Connection: close\r\n", b"")


@pytest.fixture
def server() -> Iterator[Raw]:
    with Raw(
        {"/": KEEP, "/close": answer(b"ok"), "/cookie": KEEP.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n")}
    ) as found:
        yield found


FIELDS: list[tuple[dict[str, Any], list[str]]] = [
    ({"customer": {"name": "Ada"}, "active": True, "note": None}, ["customer[name]=Ada", "active=true"]),
    ({"a": [1, None, "x"], "b": False, "c": 1.5, "d": ""}, ["a=1", "a=x", "b=false", "c=1.5", "d="]),
    ({"items": [{"id": 1, "tags": ["x", "y"]}, {"id": 2}]}, ["items[0][id]=1", "items[0][tags]=x", "items[0][tags]=y", "items[1][id]=2"]),
    ({"a": {}, "b": [], "c": {"d": None}}, []),
    ({"a": [[1, 2], [3]]}, ["a[0]=1", "a[0]=2", "a[1]=3"]),
    ({"n": 2**70, "ü": "é&="}, [f"n={2**70}", "ü=é&="]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "wanted"), FIELDS)
async def test_forms_and_queries_have_one_rule(server: Raw, fields: dict[str, Any], wanted: list[str]) -> None:
    assert [f"{name}={value}" for name, value in pairs(fields)] == wanted
    await call(actions.Post, url=f"{server.url}/", form=fields)
    body = server.requests[-1].partition(b"\r\n\r\n")[2].decode()
    assert [f"{n}={v}" for n, v in urllib.parse.parse_qsl(body, keep_blank_values=True)] == wanted
    await call(actions.Get, url=f"{server.url}/", query=fields)
    query = server.requests[-1].split(b" ")[1].partition(b"?")[2].decode()
    assert [f"{n}={v}" for n, v in urllib.parse.parse_qsl(query, keep_blank_values=True)] == wanted


WRONG: list[dict[str, Any]] = [
    {"headers": {"X A": "b"}}, {"headers": {"": "b"}}, {"headers": {"X:": "b"}}, {"headers": {"Ünicode": "b"}}, {"headers": {"A\n": "b"}},
    {"headers": {"A": "b\r\nC: d"}}, {"headers": {"A": "b\x00"}}, {"headers": {"A": "\ud83d"}}, {"headers": {"A": "b\nc"}},
    {"headers": {"Content-Length": "1", "Transfer-Encoding": "chunked"}, "body": "a"}, {"headers": {"content-length": "7"}, "body": "a"},
    {"headers": {"content-length": "1", "Content-Length": "2"}, "body": "a"}, {"headers": {"Transfer-Encoding": "gzip"}, "body": "a"},
    {"auth": {"bearer": "a\nb"}}, {"form": {"a": "\ud83d"}}, {"query": {"\ud83d": 1}}, {"body": "\ud83d"}, {"json": {"a": "\ud83d"}},
    {"body": "a", "form": {}}, {"method": "GET /x"},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG, ids=repr)
async def test_what_http_does_not_allow_is_not_sent(server: Raw, options: dict[str, Any]) -> None:
    with pytest.raises(StepFailed) as raised:
        await call(actions.Request, url=f"{server.url}/", **{"method": "POST", **options})
    assert (raised.value.type, raised.value.retryable) == ("expression", False) and not server.requests
    str(raised.value).encode()


async def test_lengths_are_the_client_s_own(server: Raw) -> None:
    for headers in ({}, {"Content-Length": "1"}):
        await call(actions.Post, url=f"{server.url}/", body="a", headers=headers)
        assert server.requests[-1].lower().count(b"content-length: 1") == 1
    await call(actions.Post, url=f"{server.url}/", body="abc", headers={"transfer-encoding": "chunked"})
    assert b"\r\n\r\n3\r\nabc\r\n0\r\n" in server.requests[-1] and b"ontent-Length" not in server.requests[-1]


async def test_it_says_who_it_is(server: Raw) -> None:
    await call(actions.Get, url=f"{server.url}/")
    assert b"User-Agent: Reactor/0." in server.requests[-1]


JOINED = [
    ("http://a/base", "", "http://a/base"), ("http://a/base/", "", "http://a/base/"), ("http://a", "", "http://a"),
    ("http://a/base", "x", "http://a/base/x"), ("http://a/base/", "/x", "http://a/base/x"), ("http://a/base", "?q=1", "http://a/base?q=1"),
    ("http://a/base?key=1", "", "http://a/base?key=1"), ("http://a/base?key=1", "x?q=2", "http://a/base/x?key=1&q=2"),
    ("http://a/base?key=1", "?key=2", "http://a/base?key=2"), ("http://a/b?key=1", "http://a/c?page=2#f", "http://a/c?key=1&page=2#f"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "url", "whole"), JOINED)
def test_a_base_and_what_follows(base: str, url: str, whole: str) -> None:
    assert joined(base, url) == whole


async def test_a_connection_without_health_only_connects(server: Raw) -> None:
    kind = Http(Settings(url=f"{server.url}/hook"))
    await kind.check(await kind.open())
    await soon(lambda: server.connections, "its thread did not take it")  # its thread has yet to take it
    assert server.connections == 1 and not server.requests
    server.answers["/hook/up"] = answer(b"ok")
    asked = Http(Settings(url=f"{server.url}/hook?key=1", health="/up"))
    await asked.check(await asked.open())
    assert server.requests[0].startswith(b"GET /hook/up?key=1 ") and b"User-Agent: Reactor/" in server.requests[0]


async def test_connections_are_shared_by_those_of_the_same_rights(server: Raw) -> None:
    clients = SharedClients(SystemClock())
    author = context(clients=clients)
    for _ in range(5):
        assert (await call(actions.Get, author, url=f"{server.url}/"))["body"] == "ok"
    assert (server.connections, len(clients)) == (1, 1)
    allowed = context(clients=clients, literals={"url": ""}, allow_networks=("127.0.0.0/8",))
    await call(actions.Get, allowed, url=f"{server.url}/")
    assert (server.connections, len(clients)) == (2, 2), "other rights have connections of their own"
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, context(clients=clients, literals={"url": ""}), url=f"{server.url}/")
    assert raised.value.type == "http.refused" and server.connections == 2
    await call(actions.Get, author, url=f"{server.url}/cookie", auth={"bearer": "mine"})
    await call(actions.Get, author, url=f"{server.url}/")
    assert b"Cookie" not in server.requests[-1] and b"mine" not in server.requests[-1]
    await clients.close()
    assert len(clients) == 0


class Thing:
    closed = False

    async def close(self) -> None:
        self.closed = True


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.news = anyio.Event()

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        while self.time < end:
            await self.news.wait()

    def move(self, seconds: float) -> None:
        self.time += seconds
        self.news.set()
        self.news = anyio.Event()


async def test_shared_clients_are_bounded_and_closed_when_idle() -> None:
    clock = Hands()
    clients = SharedClients(clock)  # type: ignore[arg-type]
    made: list[Thing] = []

    async def make() -> Thing:
        made.append(Thing())
        return made[-1]

    async with clients.lend("kept", make), anyio.create_task_group() as group:
        for key in range(MOST + 10):
            async with clients.lend(key, make):
                pass
        assert len(clients) == MOST and not made[0].closed and sum(one.closed for one in made) == 11
        group.start_soon(clients.watch)
        await anyio.wait_all_tasks_blocked()
        for _ in range(2):
            clock.move(IDLE)
            await anyio.wait_all_tasks_blocked()
        assert len(clients) == 1 and not made[0].closed
        group.cancel_scope.cancel()
    await clients.close()
    assert all(one.closed for one in made)
