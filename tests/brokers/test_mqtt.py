"""The mqtt trigger, action and connection against a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from plugins.actions import mqtt as actions
from plugins.connections.mqtt import Mqtt as Kind
from plugins.connections.mqtt import Settings
from reactor.contracts.errors import NotConnected, StepFailed
from tests.brokers.harness import Lent, down_and_back, numbers, recorder, settle, survive, wait_runs
from tests.daemon import Daemon, eventually
from tests.plugins.test_file import call, context
from tests.services import Mqtt as Server
from triggers.mqtt import Mqtt, topic_filter

pytestmark = pytest.mark.anyio


def publisher(server: Server, topic: str, qos: int = 1, retain: bool = False) -> Callable[[Sequence[Any]], None]:
    def publish(part: Sequence[Any]) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.max_inflight_messages_set(200)
        client.connect(server.host, server.port)
        client.loop_start()
        made = [
            client.publish(topic, n if isinstance(n, bytes) else json.dumps({"n": n}), qos=qos, retain=retain)
            for n in part
        ]
        for one in made:
            one.wait_for_publish(30)
        client.disconnect()
        client.loop_stop()

    return publish


def options(**given: Any) -> Any:
    return msgspec.convert({"connection": "x", **given}, Mqtt.Options)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_it_becomes_ready_and_stops(mqtt_server: Server, version: str) -> None:
    made = recorder(Kind, {"host": mqtt_server.host, "port": mqtt_server.port, "version": version})
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(Mqtt(options(topic="a/{b}")).listen, made)
            await made.is_ready.wait()
            group.cancel_scope.cancel()


@pytest.mark.parametrize("qos", [1, 2])
def test_a_topic_through_kills_and_restarts(mqtt_server: Server, tmp_path: Path, qos: int) -> None:
    trigger = f"mqtt: {{connection: '{mqtt_server.url}', topic: 'flood{qos}', qos: {qos}}}"
    survive(Daemon(tmp_path), mqtt_server, publisher(mqtt_server, f"flood{qos}", qos), trigger, once=qos == 2)


def test_down_at_the_start_delays_only_its_own(mqtt_server: Server, tmp_path: Path) -> None:
    trigger = f"mqtt: {{connection: '{mqtt_server.url}', topic: late}}"
    down_and_back(Daemon(tmp_path), mqtt_server, publisher(mqtt_server, "late"), trigger)


def test_what_came_while_the_daemon_was_down(mqtt_server: Server, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "sink.yaml",
        f"flow: sink\nwhen: [{{mqtt: {{connection: '{mqtt_server.url}', topic: down}}}}]\ndo: []\noutput: ${{{{ event.data.n }}}}\n",
    )
    with daemon:
        settle(daemon)
        publisher(mqtt_server, "down")(range(3))
        eventually(lambda: len(numbers(daemon)) == 3, 10, "nothing")
        assert daemon.stop() == 0
        publisher(mqtt_server, "down")(range(3, 6))
        daemon.start()
        eventually(lambda: set(numbers(daemon)) == set(range(6)), 20, "the session was not kept")
        assert max(numbers(daemon).values()) == 1


def test_two_daemons_share_a_topic(mqtt_server: Server, tmp_path: Path) -> None:
    daemons = []
    for n in range(2):
        (tmp_path / str(n)).mkdir()
        daemons.append(Daemon(tmp_path / str(n)))
        daemons[n].flow(
            "sink.yaml",
            f"flow: sink\nwhen: [{{mqtt: {{connection: '{mqtt_server.url}', topic: both, share: g}}}}]\ndo: []\noutput: ${{{{ event.data.n }}}}\n",
        )
    with daemons[0], daemons[1]:
        for daemon in daemons:
            settle(daemon)
        publisher(mqtt_server, "both")(range(2000))
        eventually(lambda: len(numbers(daemons[0]) + numbers(daemons[1])) == 2000, 30, "not all came")
        assert numbers(daemons[0]) and numbers(daemons[1])
        assert max((numbers(daemons[0]) + numbers(daemons[1])).values()) == 1


def test_levels_retained_and_dead_letters(mqtt_server: Server, tmp_path: Path) -> None:
    publisher(mqtt_server, "sensors/kitchen/oven/temperature", retain=True)([1])
    daemon = Daemon(tmp_path)
    daemon.flow(
        "connections/house.yaml", f"kind: mqtt\nsettings: {{host: {mqtt_server.host}, port: {mqtt_server.port}}}\n"
    )
    daemon.flow("sink.yaml", "flow: sink\nwhen: [{mqtt: {connection: house, topic: 'sensors/{room}/{rest...}', decode: json}}]\ndo: []\n"
        "output: ['${{ event.topic }}', '${{ event.params }}', '${{ event.qos }}', '${{ event.retain }}', '${{ event.data }}']\n")  # fmt: skip
    with daemon:
        settle(daemon)
        publisher(mqtt_server, "sensors/attic/x", qos=0)([2])
        publisher(mqtt_server, "sensors/attic/y")([b"{broken"])
        outputs = [run["output"] for run in wait_runs(daemon, "sink", 2)][::-1]
        assert outputs == [
            ["sensors/kitchen/oven/temperature", {"room": "kitchen", "rest": "oven/temperature"}, 1, True, {"n": 1}],
            ["sensors/attic/x", {"room": "attic", "rest": "x"}, 0, False, {"n": 2}],
        ]
        eventually(lambda: len(daemon.get("/api/v1/dead-letters")["items"]) == 1, 10, "no dead letter")


async def test_publish(mqtt_server: Server, tmp_path: Path) -> None:
    here = context(tmp_path)
    here.connection = Lent(Kind, {"host": mqtt_server.host, "port": mqtt_server.port}).lend
    made = recorder(Kind, {"host": mqtt_server.host, "port": mqtt_server.port})

    async def act(**given: Any) -> Any:
        return await call(actions.Publish, here, connection="x", **given)

    async with anyio.create_task_group() as group:
        group.start_soon(Mqtt(options(topic="lights/{room}")).listen, made)
        await made.is_ready.wait()
        for qos in (0, 1, 2):
            assert await act(topic="lights/hall", data={"on": True}, qos=qos) == {
                "topic": "lights/hall",
                "qos": qos,
                "retain": False,
            }
        events = await made.wait_events(3)
        assert [event.data for event in events] == [{"on": True}] * 3 and events[0].fields["params"] == {"room": "hall"}
        group.cancel_scope.cancel()
    for wrong in ({"topic": "a/#"}, {"topic": ""}, {"topic": "a", "qos": 3}):
        with pytest.raises(StepFailed):
            await act(**wrong)
    here.connection = Lent(Kind, {"host": "127.0.0.1", "port": 1}).lend
    with pytest.raises(NotConnected):
        await act(topic="a")


def test_settings_and_options_that_are_wrong() -> None:
    assert Kind.problems(Settings(host="h", port=0)) and Kind.problems(Settings(host="h", keepalive=1))
    assert topic_filter("a/{b}/c/{d...}") == ("a/+/c/#", [None, "b", None, "d"])
    for given in ({"topic": ""}, {"topic": "a+/b"}, {"topic": "#/a"}, {"topic": "{A}"}, {"topic": "{a}/{a}"}, {"topic": "{a...}/b"},
                  {"topic": "a", "qos": 3}, {"topic": "a", "share": "a/b"}):  # fmt: skip
        assert Mqtt.problems(options(**given)), given
