"""The amqp trigger, action and connection against a real RabbitMQ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
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
from tests.brokers.harness import Lent, down_and_back, recorder, settle, share, survive, wait_runs
from tests.daemon import Daemon, eventually
from tests.plugins.test_file import call, context
from tests.services import Amqp as Server
from triggers.amqp import Amqp

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
    ):
        with pytest.raises(StepFailed) as caught:
            await act(**wrong)
        assert caught.value.type == type, caught.value
    assert (await act(queue="out", data="after"))["routing_key"] == "out", "a refused message closes nothing for others"
    here.connection = Lent(Kind, {"url": "amqp://127.0.0.1:1/"}).lend
    with pytest.raises(NotConnected):
        await act(queue="out")


def test_settings_and_options_that_are_wrong() -> None:
    assert Kind.problems(Settings(url="http://x")) and Kind.problems(Settings(url="amqp://x", user="u"))
    for given in ({"queue": ""}, {"queue": "amq.x"}, {"queue": "a", "prefetch": 0}):
        assert Amqp.problems(options(**given)), given
