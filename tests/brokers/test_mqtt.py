"""The mqtt trigger, action and connection against a real broker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from plugins.actions import mqtt as actions
from plugins.connections.mqtt import Mqtt as Kind
from plugins.connections.mqtt import Settings
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.testing import trigger_suite
from tests.brokers.harness import SINK, Lent, down_and_back, numbers, recorder, settle, survive, wait_runs
from tests.daemon import Daemon, eventually
from tests.plugins.test_file import call, context
from tests.services import Mqtt as Server
from triggers.mqtt.kind import Mqtt
from triggers.mqtt.options import topic_filter

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


MARK = 99


def marks(daemon: Daemon, flow: str) -> int:
    return sum(run["output"] == MARK for run in wait_runs(daemon, flow, 0))


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
    for wrong in (
        {"topic": "a/#"}, {"topic": ""}, {"topic": "a", "qos": 3}, {"topic": "\ud83d"}, {"topic": "a" * 70_000},
        {"topic": "a", "data": "\ud83d"}, {"topic": "a", "data": ["\ud83d"]}, {"topic": "a", "headers": {"h": "\ud83d"}},
        {"topic": "a", "headers": {"h": "\0"}}, {"topic": "a", "headers": {"h": "x" * 70_000}},
    ):  # fmt: skip
        with pytest.raises(StepFailed) as caught:
            await act(**wrong)
        assert not caught.value.retryable
    here.connection = Lent(Kind, {"host": "127.0.0.1", "port": 1}).lend
    with pytest.raises(NotConnected):
        await act(topic="a")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_retained_messages_come_once(mqtt_server: Server, tmp_path: Path, version: str, qos: int) -> None:
    """Whatever restarts: the daemon, by a signal or a kill, or the broker. One that is new comes, also when it is new
    while nobody listens."""
    topic = f"kept/{version}/{qos}"
    publish = publisher(mqtt_server, f"{topic}/a", retain=True)
    other = publisher(mqtt_server, f"{topic}/b", retain=True)
    mark = publisher(mqtt_server, f"{topic}/c")
    publish([1])
    daemon = Daemon(tmp_path)
    daemon.flow(
        "connections/house.yaml",
        f"kind: mqtt\nsettings: {{host: {mqtt_server.host}, port: {mqtt_server.port}, version: '{version}'}}\n",
    )
    daemon.flow("sink.yaml", SINK % f"mqtt: {{connection: house, topic: '{topic}/{{which}}', qos: {qos}}}")
    daemon.flow(
        "never.yaml",
        SINK.replace("sink", "never") % f"mqtt: {{connection: house, topic: '{topic}/+', qos: {qos}, retained: never}}",
    )
    flows = ("sink", "never", "always")

    def acknowledged() -> None:
        """What came before a message that has run is acknowledged in each session: a broker sends the rest again."""
        for _ in range(2):
            before = {flow: marks(daemon, flow) for flow in flows}
            mark([MARK])
            eventually(lambda before=before: all(marks(daemon, flow) > before[flow] for flow in flows), 20, "no mark")

    def came() -> dict[int, int]:
        return {number: count for number, count in numbers(daemon).items() if number != MARK}

    always = f"mqtt: {{connection: house, topic: '{topic}/#', qos: {qos}, retained: always}}"
    daemon.flow("always.yaml", SINK.replace("sink", "always") % always)
    daemon.start()
    settle(daemon)
    eventually(lambda: came() == {1: 1}, 20, "the retained one does not come")
    publish([2])
    other([10])
    eventually(lambda: came() == {1: 1, 2: 1, 10: 1}, 20, "what comes live does not")
    for restart in (daemon.stop, daemon.kill):
        acknowledged()
        restart()
        daemon.start()
        settle(daemon)
    acknowledged()
    daemon.stop()
    other([11])
    daemon.start()
    eventually(lambda: numbers(daemon)[11] == 1, 20, "what was new meanwhile does not come")
    settle(daemon)
    acknowledged()
    place = len(daemon.facts())
    mqtt_server.restart()
    eventually(lambda: "source.disconnected" in [one["fact"] for one in daemon.facts()[place:]], 20, "not noticed")
    settle(daemon)
    publish([3])
    eventually(lambda: numbers(daemon)[3] == 1, 20, "deaf")
    acknowledged()
    assert came() == {1: 1, 2: 1, 10: 1, 11: 1, 3: 1}
    never = sorted(run["output"] for run in wait_runs(daemon, "never", 1) if run["output"] != MARK)
    assert never == ([2, 3, 10, 11] if qos else [2, 3, 10]), never
    outputs = [run["output"] for run in wait_runs(daemon, "always", 1) if run["output"] != MARK]
    assert len(outputs) > 5, "with each subscription"
    assert daemon.stop() == 0
    for last in ("a", "b"):
        publisher(mqtt_server, f"{topic}/{last}", retain=True)([b""])


def test_properties_of_mqtt_5(mqtt_server: Server, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.flow(
        "sink.yaml",
        f"flow: sink\nwhen: [{{mqtt: {{connection: '{mqtt_server.url}', topic: 'props/#'}}}}]\ndo: []\noutput: '${{{{ event }}}}'\n",
    )
    with daemon:
        settle(daemon)
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.connect(mqtt_server.host, mqtt_server.port)
        client.loop_start()
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = [("a", "1"), ("b", "x"), ("a", "2")]
        properties.ContentType = "application/json"
        properties.CorrelationData = b"\xff\x01"
        properties.ResponseTopic = "answers/7"
        properties.MessageExpiryInterval = 3600
        client.publish("props/a", b"1", qos=1, properties=properties).wait_for_publish(10)
        odd: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        odd.UserProperty = [("mark", "\ufeffx")]
        client.publish("props/b", b"2", qos=2, properties=odd).wait_for_publish(10)
        client.publish("props/c", b"3", qos=1).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()
        events = {run["output"]["topic"]: run["output"] for run in wait_runs(daemon, "sink", 2)}
        first = events["props/a"]
        assert first["headers"] == {"a": "2", "b": "x"} and first["headers_all"] == {"a": ["1", "2"], "b": ["x"]}
        assert first["content_type"] == "application/json" and first["response_topic"] == "answers/7"
        assert first["correlation_bytes"] == "/wE=" and 3590 <= first["expiry"] <= 3600
        assert events["props/c"]["headers"] == {} and events["props/c"]["content_type"] is None
        (letter,) = daemon.get("/api/v1/dead-letters")["items"]
        assert "the topic props/b: " in letter["invalid"] and "U+FEFF" in letter["invalid"]
        assert daemon.get("/api/v1/triggers")["items"][0]["failures"] == 0


async def test_the_other_side_takes_away_what_it_reads(mqtt_server: Server) -> None:
    """Another client with the same name throws the session out, with all that waits there."""

    async def make(number: int) -> None:
        await anyio.to_thread.run_sync(publisher(mqtt_server, "away"), [number])

    async def take_over() -> None:
        def work() -> None:
            other = paho.Client(CallbackAPIVersion.VERSION2, client_id="taken-away", protocol=paho.MQTTv5)
            connected = threading.Event()
            other.on_connect = lambda *_: connected.set()
            other.connect(mqtt_server.host, mqtt_server.port, clean_start=True)
            other.loop_start()
            assert connected.wait(10)
            other.disconnect()
            other.loop_stop()

        await anyio.to_thread.run_sync(work)

    async def nothing() -> None:
        return None

    lent = Lent(Kind, {"host": mqtt_server.host, "port": mqtt_server.port})
    found = await trigger_suite.notices_what_is_taken_away(
        Mqtt, options(topic="away", client_id="taken-away"), make, take_over, nothing, lent, shared=False
    )
    assert "does not know this session" in found.warnings[-1]


def test_settings_and_options_that_are_wrong() -> None:
    assert Kind.problems(Settings(host="h", port=0)) and Kind.problems(Settings(host="h", keepalive=1))
    assert topic_filter("a/{b}/c/{d...}") == ("a/+/c/#", [None, "b", None, "d"])
    for given in ({"topic": ""}, {"topic": "a+/b"}, {"topic": "#/a"}, {"topic": "{A}"}, {"topic": "{a}/{a}"}, {"topic": "{a...}/b"},
                  {"topic": "a", "qos": 3}, {"topic": "a", "qos": 7}, {"topic": "a", "session": -1}, {"topic": "a", "client_id": ""}, {"topic": "a", "share": "a/b"}):  # fmt: skip
        assert Mqtt.problems(options(**given)), given
