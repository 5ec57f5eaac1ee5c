"""Connections that are looked after: whatever a client's library raises costs the connection, not the daemon."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import anyio
import msgspec
import pytest

from flows.connections import Connection
from flows.expressions.template import compile_template
from reactor.contracts.errors import NotConnected, NotReady, StepFailed
from reactor.contracts.facts import Fact
from reactor.contracts.kinds import ConnectionKind
from reactor.kit.clock import SystemClock
from reactor.lending.connections import Connections, _no_expression
from tests.waiting import soon

pytestmark = pytest.mark.anyio


class MoodyOptions(msgspec.Struct):
    password: str = ""


class Moody(ConnectionKind[MoodyOptions, object]):
    """A kind whose library raises what it likes."""

    Options = MoodyOptions
    opening: ClassVar[Exception | None] = None
    checking: ClassVar[Exception | None] = None
    checks: ClassVar[int] = 0

    async def open(self) -> object:
        if Moody.opening is not None:
            raise Moody.opening
        return object()

    async def check(self, client: object) -> None:
        Moody.checks += 1
        if Moody.checking is not None:
            raise Moody.checking

    async def close(self, client: object) -> None:
        return None


class Clock(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(0.001)


class Facts:
    def observe(self, fact: Fact) -> None:
        pass


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    for name in ("opening", "checking"):
        monkeypatch.setattr(Moody, name, None)
    kinds = SimpleNamespace(names=lambda: ["moody"], get=lambda kind: Moody)
    made = Connections(kinds, lambda name: "s3cret", {}, Clock(), Facts())
    settings = compile_template({"password": "s3cret"}, _no_expression)
    made.update({"one": Connection("one.yaml", "one", "moody", settings, source="source")})
    return made


FAULTS = [
    (TypeError("unexpected keyword 's3'"), "moody: TypeError: unexpected keyword 's3'"),
    (StepFailed("sql.timeout", "took too long"), "took too long"),
    (NotConnected("moody: gone"), "moody: gone"),
]


@pytest.mark.parametrize(("error", "said"), FAULTS)
async def test_a_fault_is_said_and_the_watch_goes_on(
    connections: Connections, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    assert await connections.check("one") is None
    async with anyio.create_task_group() as group:
        group.start_soon(connections.watch)
        monkeypatch.setattr(Moody, "checking", error)
        await soon(lambda: connections.items()[0].state == "disconnected", "the connection was not given up", 10)
        assert connections.items()[0].error == said == await connections.check("one")
        monkeypatch.setattr(Moody, "checking", None)
        assert await connections.check("one") is None, "it is opened anew"
        seen = Moody.checks
        await soon(lambda: Moody.checks >= seen + 3, "it was not looked after any more", 10)
        group.cancel_scope.cancel()


@pytest.mark.parametrize(("error", "said"), [FAULTS[0], FAULTS[2]])
async def test_a_connection_that_cannot_be_opened(
    connections: Connections, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setattr(Moody, "opening", error)
    assert await connections.check("one") == said
    with pytest.raises(NotConnected, match="moody"):
        async with connections.lend("one"):
            raise AssertionError("it was not opened")


async def test_one_that_is_taken_away_while_it_is_tried(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(self: Moody, client: object) -> None:
        connections.update({})

    monkeypatch.setattr(Moody, "check", check)
    assert await connections.check("one") is None
    assert connections.items() == []


async def test_only_a_lost_connection_closes_the_shared_client(connections: Connections) -> None:
    async with connections.lend("one") as neighbour:
        own: list[Exception] = [NotReady("no stream"), StepFailed("x.refused", "no"), ValueError("a bug")]
        for error in (*own, *(ExceptionGroup("tasks", [one]) for one in own)):
            with pytest.raises((NotReady, StepFailed, ValueError, ExceptionGroup)):
                async with connections.lend("one"):
                    raise error
            assert connections.items()[0].state == "connected"
            async with connections.lend("one") as again:
                assert again is neighbour
        lost: list[Exception] = [NotConnected("lost"), ExceptionGroup("tasks", [KeyError("x"), NotConnected("lost")])]
        for error in lost:
            async with connections.lend("one") as before:
                pass
            with pytest.raises(NotConnected, match="lost"):
                async with connections.lend("one"):
                    raise error
            async with connections.lend("one") as again:
                assert again is not before


async def test_what_is_said_of_an_old_client_does_not_close_the_new_one(connections: Connections) -> None:
    """Each of its users notices a lost connection in its own time."""
    with pytest.raises(NotConnected):
        async with connections.lend("one"):
            with pytest.raises(NotConnected):
                async with connections.lend("one"):
                    raise NotConnected("lost")
            async with connections.lend("one") as fresh:
                pass
            raise NotConnected("lost")
    async with connections.lend("one") as again:
        assert again is fresh and connections.items()[0].state == "connected"
