"""How the mqtt trigger keeps its session: paho-mqtt in its own thread, acknowledging by hand."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import anyio
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from reactor.contracts.errors import NotConnected, NotReady, leading, words
from reactor.contracts.trigger import TriggerContext
from triggers.kit.acknowledge import Acknowledger, nothing
from triggers.kit.letters import gap
from triggers.mqtt.messages import Seen, event_of_message
from triggers.mqtt.options import Options, topic_filter

IN_FLIGHT = 500
"""Messages that the broker may send before we acknowledge one."""
CONNECT = 10.0

Told = TypeVar("Told")
Item: TypeAlias = tuple[paho.MQTTMessage, str | None] | int
"""A message, and why its properties are missing; or the id of one that the broker has released."""


class Settings(Protocol):
    """What the trigger reads of the settings of a connection of the kind mqtt."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int | None: ...

    @property
    def tls(self) -> bool: ...

    @property
    def user(self) -> str | None: ...

    @property
    def password(self) -> str | None: ...

    @property
    def version(self) -> str: ...

    @property
    def keepalive(self) -> int: ...

    @property
    def will_topic(self) -> str | None: ...

    @property
    def will_payload(self) -> str: ...


class Lent(Protocol):
    """What such a connection lends."""

    @property
    def settings(self) -> Settings: ...

    def context(self) -> ssl.SSLContext | None: ...


class Receiver(paho.Client):
    """Answers a QoS 2 message with PUBREC only when we say so: the library does it before anybody has the message
    (MQTT 5, section 4.3.3: with PUBREC the receiver takes ownership)."""

    _held: int | None = None
    odd: str | None = None
    """Why the properties of the message that is handed over now are missing."""

    def _thread_main(self) -> None:
        """A reader that ends for a reason that nobody foresaw is a lost connection, not a silent one."""
        reason = "the client ended"
        try:
            super()._thread_main()
        except Exception as error:  # it would be printed and forgotten
            reason = words(error)
        finally:
            self.on_end(reason)

    def _send_pubrec(self, mid: int) -> MQTTErrorCode:
        self._held = mid
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _without_odd_properties(self) -> str | None:
        """Takes properties out of the packet that the library cannot read, and says why: it would end its reader."""
        packet = bytes(self._in_packet["packet"])
        start = 2 + int.from_bytes(packet[:2], "big") + (2 if self._in_packet["command"] & 0x06 else 0)
        if self._protocol != paho.MQTTv5 or not packet[start : start + 1].strip(b"\0"):
            return None
        try:
            Properties(PacketTypes.PUBLISH).unpack(packet[start:])  # type: ignore[no-untyped-call]
        except Exception as error:  # what it raises depends on what the sender wrote
            size, width = VariableByteIntegers.decode(packet[start:])  # type: ignore[no-untyped-call]
            self._in_packet["packet"] = bytearray(packet[:start] + b"\0" + packet[start + width + size :])
            return words(error)
        return None

    def _handle_publish(self) -> MQTTErrorCode:
        self.odd = self._without_odd_properties()
        result = super()._handle_publish()
        if self._held is not None:
            held, self._held = self._held, None
            self.on_held(self._in_messages[held])
        return result

    def _handle_pubrel(self) -> MQTTErrorCode:
        mid = int.from_bytes(bytes(self._in_packet["packet"][:2]), "big")
        with self._in_message_mutex:
            self._in_messages.pop(mid, None)
        self.on_released(mid)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def received(self, mid: int) -> None:
        super()._send_pubrec(mid)

    def completed(self, mid: int) -> None:
        self._send_pubcomp(mid)

    on_held: Callable[[paho.MQTTMessage], None]
    on_released: Callable[[int], None]
    on_end: Callable[[str], None]


class Lost(NamedTuple):
    """Why a session ended; `said`: the broker said it, and so it is there."""

    reason: str
    said: bool


class Session:
    """Bridges the client's thread and the loop."""

    def __init__(self, ctx: TriggerContext, client: Lent, options: Options) -> None:
        self.settings = client.settings
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.arrived: asyncio.Queue[Item] = asyncio.Queue()
        self.subscribed: asyncio.Future[None] = self.loop.create_future()
        self.lost: asyncio.Future[Lost] = self.loop.create_future()
        self.five = self.settings.version == "5"
        name = hashlib.sha256(ctx.identity().encode()).hexdigest()[:12]
        self.client = Receiver(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id or f"reactor-{name}",
            protocol=paho.MQTTv5 if self.five else paho.MQTTv311,
            clean_session=None if self.five else options.qos == 0,
            manual_ack=True,
        )
        self.client.max_inflight_messages_set(IN_FLIGHT)
        if self.settings.user is not None:
            self.client.username_pw_set(self.settings.user, self.settings.password)
        context = client.context()
        if context is not None:
            self.client.tls_set_context(context)
        if self.settings.will_topic:
            self.client.will_set(self.settings.will_topic, self.settings.will_payload)
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._message
        self.client.on_held = lambda message: self._put((message, self.client.odd))
        self.client.on_end = lambda reason: self._tell(self.lost, Lost(f"the connection is lost: {reason}", False))
        self.client.on_released = lambda mid: self._put(mid)
        self.present = False
        self.closing = False
        self.room = threading.Semaphore(2 * IN_FLIGHT)
        self.client.on_disconnect = self._disconnected

    def _tell(self, future: asyncio.Future[Told], value: Told) -> None:
        def work() -> None:
            if not future.done():
                future.set_result(value)

        self.loop.call_soon_threadsafe(work)

    def _connected(
        self, client: paho.Client, _: object, flags: paho.ConnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        if reason.is_failure:
            self._tell(self.lost, Lost(f"the broker refused: {reason}", True))
            return
        self.present = bool(flags.session_present)
        filter = topic_filter(self.options.topic)[0]
        if self.options.share is not None:
            filter = f"$share/{self.options.share}/{filter}"
        if self.five:
            handling = {"always": 0, "new": 1, "never": 2}[self.options.stored] if self.options.share is None else 2
            client.subscribe(filter, options=SubscribeOptions(qos=self.options.qos, retainHandling=handling))
        else:
            client.subscribe(filter, qos=self.options.qos)

    def _subscribed(
        self, client: paho.Client, _: object, mid: int, reasons: list[ReasonCode], properties: object
    ) -> None:
        failed = next((reason for reason in reasons if reason.is_failure), None)
        if failed is not None:
            self._tell(self.lost, Lost(f"the subscription was refused: {failed}", True))
        else:
            self._tell(self.subscribed, None)

    def _message(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        self._put((message, self.client.odd))

    def _put(self, item: Item) -> None:
        """Waits, in the client's thread, while too much is unread here: the socket is not read then, and the broker
        feels it, whatever it makes of the receive maximum."""
        if not isinstance(item, int):
            while not self.room.acquire(timeout=1.0):
                if self.closing:
                    return
        self.loop.call_soon_threadsafe(self.arrived.put_nowait, item)

    def _disconnected(
        self, client: paho.Client, _: object, flags: paho.DisconnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        own = bool(flags.is_disconnect_packet_from_server)
        self._tell(self.lost, Lost(f"the connection is lost: {reason}", own))

    async def open(self) -> None:
        """Raises NotConnected."""
        given: dict[str, Any] = {}
        if self.five:
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = IN_FLIGHT
            properties.SessionExpiryInterval = self.options.session if self.options.qos else 0
            given = {"clean_start": self.options.qos == 0, "properties": properties}
        port = self.settings.port or (8883 if self.settings.tls else 1883)
        try:
            await anyio.to_thread.run_sync(
                lambda: self.client.connect(self.settings.host, port, self.settings.keepalive, **given)
            )
        except (OSError, ValueError) as error:
            raise NotConnected(f"mqtt: {error}") from None
        self.client.loop_start()
        either: set[asyncio.Future[Any]] = {self.subscribed, self.lost}
        done, _ = await asyncio.wait(either, timeout=CONNECT, return_when=asyncio.FIRST_COMPLETED)
        if self.subscribed not in done:
            raise self.fault()

    def fault(self) -> NotConnected | NotReady:
        """What the broker said to this session is the source's own matter."""
        if not self.lost.done():
            return NotConnected("mqtt: no answer in time")
        lost = self.lost.result()
        text = f"mqtt: the topic {self.options.topic}: {lost.reason}"
        return NotReady(text) if lost.said else NotConnected(text)

    async def close(self) -> None:
        """Without a good-bye to the session: the broker keeps what comes meanwhile."""

        def work() -> None:
            self.closing = True
            self.client.disconnect()
            self.client.loop_stop()

        await anyio.to_thread.run_sync(work)


async def listen(ctx: TriggerContext, client: Lent, options: Options) -> None:
    session = Session(ctx, client, options)
    position = await ctx.cursor()
    seen = Seen(ctx, position, session.five and options.qos > 0 and options.session > 0)
    taken: set[int] = set()
    """Ids of QoS 2 messages whose events are durable and that the broker has not released."""

    async def acknowledge(messages: list[paho.MQTTMessage]) -> None:
        for message in messages:
            if message.qos == 2:
                taken.add(message.mid)
                session.client.received(message.mid)
            elif message.qos == 1 and session.client.ack(message.mid, 1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

    async def until_lost() -> None:
        await session.lost
        raise session.fault()

    async def offer(message: paho.MQTTMessage, odd: str | None) -> None:
        if message.qos == 2 and message.mid in taken:
            session.client.received(message.mid)
        elif message.retain and (options.stored == "never" or (options.stored == "new" and seen.knows(message))):
            await acknowledger.add(nothing(), message)
        else:
            cursors = [ctx.at(f"mid:{message.mid}", 1)] if message.qos == 2 else []
            if options.stored == "new":
                cursors += seen.passes(message)
            await acknowledger.add(await ctx.offer(event_of_message(message, odd, options), cursors), message)

    async def release(mids: list[int]) -> None:
        await ctx.move({f"mid:{mid}": None for mid in mids})
        for mid in mids:
            taken.discard(mid)
            session.client.completed(mid)

    acknowledger = Acknowledger(acknowledge, IN_FLIGHT)
    try:
        await session.open()
        known = [name for name in position if name.startswith("mid:")]
        if session.present:
            taken.update(int(name[4:]) for name in known)
        elif known:
            await ctx.move(dict.fromkeys(known))
        if options.qos:
            await _say_session(ctx, session, position, options)
        async with anyio.create_task_group() as group:
            group.start_soon(acknowledger.run)
            group.start_soon(until_lost)
            await ctx.ready()
            while True:
                items = [await session.arrived.get()]
                while not session.arrived.empty():
                    items.append(session.arrived.get_nowait())
                released = [item for item in items if isinstance(item, int)]
                if released:
                    await release(released)
                for item in items:
                    if not isinstance(item, int):
                        await offer(*item)
                        session.room.release()
    except* (NotConnected, NotReady) as errors:
        raise leading(errors) from None
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await session.close()


async def _say_session(ctx: TriggerContext, session: Session, position: dict[str, object], options: Options) -> None:
    if "session" not in position:
        await ctx.move({"session": 1})
    elif not session.present:
        gap(ctx, f"mqtt: the broker does not know this session any more; messages of {options.topic} may be lost")
