"""The amqp trigger, action and connection against a real RabbitMQ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import anyio
import msgspec
import pytest

from plugins.actions import amqp as actions
from plugins.connections.amqp import Amqp as Kind
from plugins.connections.amqp import Settings
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.testing import trigger_suite
from tests.brokers.harness import (
    SINK,
    Lent,
    down_and_back,
    numbers,
    recorder,
    settle,
    share,
    stands_alone,
    survive,
    wait_runs,
)
from tests.brokers.raw_amqp import Raw, table, text
from tests.daemon import Daemon, eventually
from tests.plugins.test_file import call, context
from tests.services import Amqp as Server
from triggers.amqp.kind import Amqp

pytestmark = pytest.mark.anyio


def using(server: Server, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with await aio_pika.connect(server.url) as connection:
            return await work(await connection.channel(publisher_confirms=True))

    return asyncio.run(main())


def publisher(server: Server, queue: str) -> Callable[[Sequence[int]], None]:
    def publish(part: Sequence[int]) -> None:
        async def work(channel: Any) -> None:
            await channel.declare_queue(queue, durable=True)
            for start in range(0, len(part), 500):
                chunk = part[start : start + 500]
                await asyncio.gather(*[
                    channel.default_exchange.publish(
                        aio_pika.Message(json.dumps({"n": n}).encode(), message_id=f"{queue}-{n}", delivery_mode=2),
                        routing_key=queue,
                    )
                    for n in chunk
                ])  # fmt: skip

        using(server, work)

    return publish


def left(server: Server, queue: str) -> int:
    async def work(channel: Any) -> int:
        return int((await channel.declare_queue(queue, passive=True)).declaration_result.message_count)

    return int(using(server, work))


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", **given}, Amqp.Options)


async def test_it_becomes_ready_and_stops(amqp_server: Server) -> None:
    made = recorder(Kind, {"url": amqp_server.url})
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(Amqp(options(queue="ready")).listen, made)
            await made.is_ready.wait()
            group.cancel_scope.cancel()


def test_a_queue_through_kills_and_restarts(amqp_server: Server, tmp_path: Path) -> None:
    trigger = f"amqp: {{connection: '{amqp_server.url}', queue: flood}}"
    survive(Daemon(tmp_path), amqp_server, publisher(amqp_server, "flood"), trigger)
    assert left(amqp_server, "flood") == 0


def test_two_daemons_share_a_queue(amqp_server: Server, tmp_path: Path) -> None:
    folders = [tmp_path / str(n) for n in range(2)]
    for folder in folders:
        folder.mkdir()
    trigger = f"amqp: {{connection: '{amqp_server.url}', queue: shared}}"
    share(Daemon(folders[0]), Daemon(folders[1]), publisher(amqp_server, "shared"), trigger, 3000)


def test_down_at_the_start_delays_only_its_own(amqp_server: Server, tmp_path: Path) -> None:
    trigger = f"amqp: {{connection: '{amqp_server.url}', queue: late}}"
    down_and_back(Daemon(tmp_path), amqp_server, publisher(amqp_server, "late"), trigger)


def test_bindings_fields_and_letters_that_go_to_the_exchange(amqp_server: Server, tmp_path: Path) -> None:
    async def before(channel: Any) -> None:
        await channel.declare_exchange("shop", aio_pika.ExchangeType.TOPIC, durable=True)
        await channel.declare_exchange("dead", aio_pika.ExchangeType.FANOUT, durable=True)
        await (await channel.declare_queue("graves", durable=True)).bind("dead")

    using(amqp_server, before)
    daemon = Daemon(tmp_path)
    daemon.flow("connections/rabbit.yaml", f"kind: amqp\nsettings: {{url: '{amqp_server.url}'}}\n")
    daemon.flow("sink.yaml", "flow: sink\nwhen: [{amqp: {connection: rabbit, queue: orders, decode: json, bind: {exchange: shop, keys: ['order.*']}, "
        "arguments: {x-dead-letter-exchange: dead}}}]\ndo: []\n"
        "output: ['${{ event.data }}', '${{ event.routing_key }}', '${{ event.exchange }}', '${{ event.headers }}', '${{ event.message_id }}']\n")  # fmt: skip
    with daemon:
        settle(daemon)

        async def work(channel: Any) -> None:
            shop = await channel.get_exchange("shop")
            for body, key, id in (
                (b'{"n": 1}', "order.new", "m1"),
                (b"{broken", "order.new", None),
                (b"{}", "other", None),
                (b'{"n": 1}', "order.new", "m1"),
            ):
                await shop.publish(aio_pika.Message(body, headers={"h": [1, "x"]}, message_id=id), routing_key=key)

        using(amqp_server, work)
        assert [r["output"] for r in wait_runs(daemon, "sink", 1)] == [
            [{"n": 1}, "order.new", "shop", {"h": [1, "x"]}, "m1"]
        ]
        eventually(lambda: len(daemon.get("/api/v1/dead-letters")["items"]) == 1, 10, "no dead letter")
        eventually(lambda: left(amqp_server, "graves") == 1, 10, "it did not go to the dead-letter exchange")
        assert len(daemon.get("/api/v1/runs?flow=sink")["items"]) == 1, "a message_id starts once"


async def test_publish(amqp_server: Server, tmp_path: Path) -> None:
    here = context(tmp_path)
    here.connection = Lent(Kind, {"url": amqp_server.url}).lend

    async def act(**given: Any) -> Any:
        return await call(actions.Publish, here, connection="x", **given)

    made = recorder(Kind, {"url": amqp_server.url})
    async with anyio.create_task_group() as group:
        group.start_soon(Amqp(options(queue="out")).listen, made)
        await made.is_ready.wait()
        first = await act(queue="out", data={"a": 1}, headers={"h": "v"})
        assert first["routing_key"] == "out" and (await act(queue="out", data="x"))["message_id"] == first["message_id"]
        events = await made.wait_events(2)
        assert [event.data for event in events] == [{"a": 1}, "x"] and events[0].key == first["message_id"]
        group.cancel_scope.cancel()
    for wrong, type in (
        ({"queue": "nobody", "data": 1}, "amqp.unroutable"),
        ({"exchange": "no-exchange", "key": "x", "data": 1}, "amqp.refused"),
        ({"data": 1}, "expression"),
        ({"queue": "a", "exchange": "b", "data": 1}, "expression"),
        ({"queue": "out", "data": "\ud83d"}, "expression"),
        ({"queue": "out", "data": {"a": "\ud83d"}}, "expression"),
        ({"queue": "out", "data": 1, "headers": {"h": "\ud83d"}}, "expression"),
        ({"queue": "out", "data": 1, "headers": {"x" * 256: "v"}}, "expression"),
        ({"queue": "out", "data": 1, "headers": {"h": 2**80}}, "expression"),
        ({"queue": "out", "data": 1, "message_id": "x" * 256}, "expression"),
        ({"exchange": "amq.topic", "key": "k" * 256, "data": 1}, "expression"),
        ({"exchange": "amq.topic", "key": "\ud83d", "data": 1}, "expression"),
    ):
        with pytest.raises(StepFailed) as caught:
            await act(**wrong)
        assert caught.value.type == type and not caught.value.retryable, caught.value
    assert (await act(queue="out", data="after"))["routing_key"] == "out", "a refused message closes nothing for others"
    here.connection = Lent(Kind, {"url": "amqp://127.0.0.1:1/"}).lend
    with pytest.raises(NotConnected):
        await act(queue="out")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("queue: other, arguments: {x-max-length: 5}", "PRECONDITION_FAILED"),
        ("queue: nowhere, declare: false", "NOT_FOUND - no queue 'nowhere'"),
        ("queue: bound, bind: {exchange: no-exchange}", "NOT_FOUND - no exchange 'no-exchange'"),
    ],
)
def test_a_queue_that_cannot_be_read_is_its_own_fault(
    amqp_server: Server, tmp_path: Path, bad: str, reason: str
) -> None:
    using(amqp_server, lambda channel: channel.declare_queue("other", durable=True))
    queue = f"good-{reason[:3]}-{len(bad)}"
    stands_alone(
        Daemon(tmp_path), f"kind: amqp\nsettings: {{url: '{amqp_server.url}'}}\n",
        f"amqp: {{connection: shared, queue: {queue}}}", f"amqp: {{connection: shared, {bad}}}",
        publisher(amqp_server, queue), reason,
    )  # fmt: skip


def test_a_queue_that_is_deleted_is_made_anew(amqp_server: Server, tmp_path: Path) -> None:
    """And so is its binding; the other queue of the connection does not notice."""
    using(amqp_server, lambda channel: channel.declare_exchange("fan", aio_pika.ExchangeType.FANOUT, durable=True))
    daemon = Daemon(tmp_path)
    daemon.flow("connections/rabbit.yaml", f"kind: amqp\nsettings: {{url: '{amqp_server.url}'}}\n")
    daemon.flow("sink.yaml", SINK % "amqp: {connection: rabbit, queue: taken, bind: {exchange: fan}}")
    daemon.flow("other.yaml", "flow: other\nwhen: [{amqp: {connection: rabbit, queue: stays}}]\ndo: []\n")

    def publish(number: int) -> None:
        async def work(channel: Any) -> None:
            fan = await channel.get_exchange("fan")
            await fan.publish(aio_pika.Message(json.dumps({"n": number}).encode()), routing_key="", mandatory=False)

        using(amqp_server, work)

    def item(flow: str) -> Any:
        return next(one for one in daemon.get("/api/v1/triggers")["items"] if one["flows"] == [flow])

    with daemon:
        settle(daemon)

        def arrives(number: int) -> bool:
            publish(number)
            return number in numbers(daemon)

        eventually(lambda: arrives(1), 20, "nothing came")

        def facts() -> list[str]:
            return [one["fact"] for one in daemon.facts()]

        for number in (2, 3):
            using(amqp_server, lambda channel: channel.queue_delete("taken"))
            eventually(lambda: facts().count("source.warning") == number - 1, 20, "the gap is not said")  # noqa: B023
            eventually(lambda: arrives(number), 20, f"deaf: {item('sink')}")  # noqa: B023
        assert "taken was deleted" in item("sink")["warning"] and item("other")["failures"] == 0
        assert "connection.lost" not in facts()


async def test_the_other_side_takes_away_what_it_reads(amqp_server: Server) -> None:
    async with await aio_pika.connect(amqp_server.url) as connection:
        channel = await connection.channel(publisher_confirms=True)

        async def make(number: int) -> None:
            await channel.default_exchange.publish(
                aio_pika.Message(b"%d" % number), routing_key="away", mandatory=False
            )

        async def take_away() -> None:
            await channel.queue_delete("away")
            other = await channel.declare_queue("away", durable=True, arguments={"x-max-length": 5})
            assert other.name == "away", "with other arguments: it cannot be declared"

        async def give_back() -> None:
            await channel.queue_delete("away")

        lent = Lent(Kind, {"url": amqp_server.url})
        found = await trigger_suite.notices_what_is_taken_away(
            Amqp, options(queue="away"), make, take_away, give_back, lent
        )
        assert [event.data for event in found.events][-1] == 1


def test_bytes_that_are_not_utf8_stop_nothing(amqp_server: Server, tmp_path: Path) -> None:
    using(amqp_server, lambda channel: channel.declare_exchange("odd", aio_pika.ExchangeType.FANOUT, durable=True))
    daemon = Daemon(tmp_path)
    daemon.flow("connections/rabbit.yaml", f"kind: amqp\nsettings: {{url: '{amqp_server.url}'}}\n")
    daemon.flow(
        "sink.yaml",
        "flow: sink\nwhen: [{amqp: {connection: rabbit, queue: odd, bind: {exchange: odd}}}]\ndo: []\n"
        "output: {n: '${{ event.data.n }}', key: '${{ event.routing_key }}', event: '${{ event }}'}\n",
    )
    daemon.flow("other.yaml", "flow: other\nwhen: [{amqp: {connection: rabbit, queue: stays2}}]\ndo: []\n")
    with daemon:
        settle(daemon)
        with Raw(amqp_server) as raw:
            raw.publish(b"odd", b"caf\xe9", b'{"n": 1}')
            raw.publish(b"odd", b"k", b'{"n": 2}', table([(b"h", text(b"\xff\xfe"))]))
            raw.publish(b"odd", b"k", b'{"n": 3}', table([(b"\xff", text(b"v"))]))  # a name that is no text
            raw.publish(b"odd", b"k", b'{"n": 4}', table([(b"h", b"T" + b"\x7f" + b"\xff" * 7)]))  # after the year 9999
            raw.publish(b"odd", b"last", b'{"n": 5}')
        runs = {run["output"]["n"]: run["output"] for run in wait_runs(daemon, "sink", 3)}
        assert runs[1]["key"] == "caf\\xe9" and runs[1]["event"]["routing_key_bytes"] == "Y2Fm6Q=="
        assert runs[2]["event"]["headers"] == {"h": "\\xff\\xfe"} and runs[2]["event"]["headers_bytes"] == {"h": "//4="}
        assert runs[5]["key"] == "last" and "routing_key_bytes" not in runs[5]["event"]
        eventually(lambda: len(daemon.get("/api/v1/dead-letters")["items"]) == 5 - len(runs), 10, "no dead letter")
        for letter in daemon.get("/api/v1/dead-letters")["items"]:
            assert "the queue odd, routing key k" in letter["invalid"], letter
        items = daemon.get("/api/v1/triggers")["items"]
        assert all(item["failures"] == 0 for item in items), items
        assert left(amqp_server, "odd") == 0


async def test_a_refused_message_fails_no_other(amqp_server: Server, tmp_path: Path) -> None:
    """The broker closes the channel for it, with all that is on its way there."""
    here = context(tmp_path)
    client = await Kind(Settings(url=amqp_server.url)).open()

    @asynccontextmanager
    async def lend(name: str) -> AsyncIterator[Any]:
        yield client

    here.connection = lend
    await anyio.to_thread.run_sync(using, amqp_server, lambda channel: channel.declare_queue("many", durable=True))
    refused: list[StepFailed] = []

    async def act(**given: Any) -> None:
        try:
            await call(actions.Publish, here, connection="x", **given)
        except StepFailed as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for number in range(60):
            if number % 10 == 5:
                group.start_soon(partial(act, exchange="no-exchange", key="x", data=1))
            group.start_soon(partial(act, queue="many", data=number))
    assert [error.type for error in refused] == ["amqp.refused"] * 6 and "no-exchange" in str(refused[0])
    assert not client.gone.is_set()
    await client.connection.close()
    assert await anyio.to_thread.run_sync(left, amqp_server, "many") >= 60


def test_settings_and_options_that_are_wrong() -> None:
    assert Kind.problems(Settings(url="http://x")) and Kind.problems(Settings(url="amqp://x", user="u"))
    for given in ({"queue": ""}, {"queue": "amq.x"}, {"queue": "a", "prefetch": 0}):
        assert Amqp.problems(options(**given)), given
