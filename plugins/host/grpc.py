"""A plugin that speaks gRPC, as `proto/reactor/plugin/v1` says: a process of ours on a unix socket, or an address.

Imported only for such a plugin: the library takes its time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import grpc
import grpc.aio
import msgspec

from plugins.host.link import CREDIT, ENDED, HANDSHAKE, MAX_MESSAGE, PROTOCOL, Call, Happened, Publish, down, failure
from plugins.host.process import MAX_LINE
from plugins.pb import plugin_pb2
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.facts import PluginLog, PluginProgress

pb: Any = plugin_pb2
SERVICE = "/reactor.plugin.v1.Plugin/"
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 50),  # a program that we started listens any moment
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
AUTHORITY = (("grpc.default_authority", "localhost"),)
"""For a unix socket: the library would send its path, which is not a valid `:authority`; strict servers refuse that."""
HOST = "reactor"
HEALTH = 30.0
"""Seconds between two looks at a plugin's health."""
ANSWER = 10.0
"""Seconds in which it answers them; one that does not is started again."""
PUBLISHING = 64
"""Events that a plugin sends by itself and that are on their way to the disk."""


class GrpcListening:
    def __init__(self, link: GrpcLink, call: Any) -> None:
        self._link = link
        self._call = call
        self._seen = 0
        self._acknowledged = 0

    async def events(self) -> AsyncIterator[Happened]:
        while True:
            try:
                answer = await _owned(self._call.read())
            except grpc.aio.AioRpcError as error:
                raise NotConnected(str(self._link.failed(error))) from None
            if answer is grpc.aio.EOF:
                raise NotConnected("the plugin ended it")
            if answer.WhichOneof("response") == "failure":
                raise NotConnected(str(self._link.failure(answer.failure)))
            happened = answer.happened
            self._seen += 1
            if happened.number != self._seen:
                raise NotConnected(f"an event number {self._seen} was due, not {happened.number}")
            if self._seen - self._acknowledged > CREDIT:
                raise NotConnected(f"more than {CREDIT} events were sent before one was acknowledged")
            try:
                event, cursor = event_dict(happened.event), _decode(happened.cursor)
            except ValueError as error:
                raise NotConnected(f"an event is not what was agreed: {error}") from None
            yield Happened(number=self._seen, event=event, cursor=cursor)

    async def acknowledge(self, number: int) -> None:
        self._acknowledged = number
        await write(self._call, pb.ListenRequest(acknowledge=pb.Acknowledge(number=number)))

    async def close(self) -> None:
        self._call.cancel()


class GrpcLink:
    """Fulfils `Link`. `publish` takes events that the plugin sends by itself; `tell` its log and progress; a call takes
    at most `timeout` seconds."""

    def __init__(
        self,
        plugin: str,
        channel: grpc.aio.Channel,
        token: str,
        timeout: float,
        publish: Publish,
        tell: Callable[..., None],
    ) -> None:
        self._plugin = plugin
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._timeout = timeout
        self._publish = publish
        self._tell = tell
        self._numbers = itertools.count(1)
        self._handshaken = anyio.Event()
        self._lost = anyio.Event()
        self._writing = anyio.Lock()
        self.gone: str | None = None
        self._shake = self._unary("Handshake", pb.HandshakeRequest, pb.HandshakeResponse)
        self._act = self._unary("Act", pb.ActRequest, pb.ActResponse)
        self._health = self._unary("Health", pb.HealthRequest, pb.HealthResponse)
        self._listen = self._stream("Listen", pb.ListenRequest, pb.ListenResponse)
        self._attend = self._stream("Attend", pb.AttendRequest, pb.AttendResponse)

    def _unary(self, method: str, request: Any, answer: Any) -> Any:
        return self._channel.unary_unary(
            SERVICE + method, request_serializer=request.SerializeToString, response_deserializer=answer.FromString
        )

    def _stream(self, method: str, request: Any, answer: Any) -> Any:
        return self._channel.stream_stream(
            SERVICE + method, request_serializer=request.SerializeToString, response_deserializer=answer.FromString
        )

    async def handshake(self, hash: str) -> None:
        request = pb.HandshakeRequest(protocols=[PROTOCOL], manifest=hash, host=HOST)
        try:
            answer = await _owned(self._shake(request, metadata=self._metadata, timeout=HANDSHAKE, wait_for_ready=True))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise NotConnected(f"it did not answer the handshake in {HANDSHAKE:g} s") from None
            raise NotConnected(f"the handshake failed: {_told(error)}") from None
        except grpc.aio.UsageError:
            raise NotConnected(self.gone or ENDED) from None
        if answer.protocol != PROTOCOL:
            raise NotConnected(f"it does not speak protocol {PROTOCOL}, but {answer.protocol}")
        if answer.manifest != hash:
            raise NotConnected(f"its handshake has the manifest {answer.manifest}, its folder {hash}")
        self._handshaken.set()

    async def run(self) -> str:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._until_lost, group.cancel_scope)
                await self._handshaken.wait()
                group.start_soon(self._watch_health)
                await self._attended(group)
                group.cancel_scope.cancel()
        except* NotConnected as errors:
            self.gone = self.gone or str(errors.exceptions[0])
        self.lose(ENDED)
        return str(self.gone)

    def lose(self, reason: str) -> None:
        self.gone = self.gone or reason
        self._lost.set()

    async def _until_lost(self, scope: anyio.CancelScope) -> None:
        await self._lost.wait()
        scope.cancel()

    async def _watch_health(self) -> None:
        """Raises NotConnected for a plugin that does not answer: it hangs, or nobody is at the other end."""
        serving = True
        while True:
            await anyio.sleep(HEALTH)
            try:
                answer = await _owned(self._health(pb.HealthRequest(), metadata=self._metadata, timeout=ANSWER))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return
                raise NotConnected(f"it does not answer how it is: {_told(error)}") from None
            if answer.serving != serving:
                serving = answer.serving
                message = "it serves again" if serving else f"it says that it does not serve: {answer.message}"
                self._tell(PluginLog, level="warning", message=message)

    async def _attended(self, group: anyio.abc.TaskGroup) -> None:
        """Takes what the plugin says by itself, until it ends. Raises NotConnected."""
        call = self._attend(metadata=self._metadata)
        room = anyio.Semaphore(PUBLISHING)
        try:
            while (report := await _owned(call.read())) is not grpc.aio.EOF:
                match report.WhichOneof("report"):
                    case "log":
                        self._tell(PluginLog, level=report.log.level or "info", message=report.log.message[:MAX_LINE])
                    case "progress":
                        progress = {"message": report.progress.message[:MAX_LINE]}
                        if report.progress.HasField("percent"):
                            progress["percent"] = report.progress.percent
                        self._tell(PluginProgress, **progress)
                    case "publish":
                        await room.acquire()
                        group.start_soon(self._published, call, report.publish, room)
                    case _:
                        continue  # of a later version: done without
        except grpc.aio.AioRpcError as error:
            raise NotConnected(_told(error)) from None
        finally:
            call.cancel()

    async def _published(self, call: Any, publish: Any, room: anyio.Semaphore) -> None:
        try:
            result = await self._publish(event_dict(publish.event))
            answer = pb.Published(id=publish.id, accepted=pb.Accepted(event=result["event"], runs=result["runs"]))
        except Exception as error:
            failed = pb.Failure(type="plugin.refused", message=str(error))
            answer = pb.Published(id=publish.id, failure=failed)
        finally:
            room.release()
        async with self._writing:
            try:
                await write(call, pb.AttendRequest(published=answer))
            except NotConnected:
                return

    async def act(self, call: Call) -> object:
        if self.gone is not None:
            raise down(self._plugin, self.gone)
        request = pb.ActRequest(
            action=call.action, input=msgspec.json.encode(call.input), call=next(self._numbers),
            context=pb.Context(**call.context),
        )  # fmt: skip
        try:
            answer = await _owned(self._act(request, metadata=self._metadata, timeout=self._timeout))
        except grpc.aio.AioRpcError as error:
            raise self.failed(error) from None
        except grpc.aio.UsageError:
            raise down(self._plugin, self.gone or ENDED) from None
        except NotConnected as error:
            raise down(self._plugin, self.gone or str(error)) from None
        outcome = answer.WhichOneof("outcome")
        if outcome == "failure":
            raise self.failure(answer.failure)
        try:
            return _decode(answer.result)
        except ValueError as error:
            raise failure(self._plugin, f"its result is no JSON: {error}") from None

    async def listen(self, trigger: str, options: dict[str, object], cursor: object) -> GrpcListening:
        if self.gone is not None:
            raise down(self._plugin, self.gone)
        opening = pb.Open(trigger=trigger, options=msgspec.json.encode(options), credit=CREDIT)
        if cursor is not None:
            opening.cursor = msgspec.json.encode(cursor)
        try:
            call = self._listen(metadata=self._metadata)
            await write(call, pb.ListenRequest(open=opening))
        except (grpc.aio.UsageError, NotConnected) as error:
            raise down(self._plugin, self.gone or str(error)) from None
        return GrpcListening(self, call)

    async def ask(self, method: str) -> object:
        try:
            call = self._unary(method, pb.HealthRequest, pb.HealthResponse)
            return await _owned(call(pb.HealthRequest(), metadata=self._metadata, timeout=self._timeout))
        except grpc.aio.AioRpcError as error:
            raise self.failed(error) from None

    def failed(self, error: grpc.aio.AioRpcError) -> StepFailed:
        """What a status means for a step."""
        code = error.code()
        if code is grpc.StatusCode.UNAVAILABLE or self.gone is not None:
            return down(self._plugin, self.gone or _told(error))
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            message = f"the plugin {self._plugin} took longer than {self._timeout:g} s"
            return StepFailed("plugin.timeout", message, retryable=True)
        return failure(self._plugin, _told(error))

    def failure(self, given: Any) -> StepFailed:
        """A plugin's own error."""
        try:
            details = _decode(given.details)
        except ValueError:
            details = None
        told = {"type": given.type, "message": given.message, "retryable": given.retryable, "details": details}
        return failure(self._plugin, told)


async def _owned(answer: Awaitable[Any]) -> Any:
    """The library answers a cancellation with one of its own, which no scope above would know. Raises NotConnected for
    one that is not ours."""
    try:
        return await answer
    except asyncio.CancelledError:
        await anyio.lowlevel.checkpoint_if_cancelled()
        raise NotConnected("it was cancelled") from None


async def write(call: Any, message: Any) -> None:
    """Raises NotConnected when the stream has ended."""
    try:
        await _owned(call.write(message))
    except grpc.aio.AioRpcError as error:
        raise NotConnected(_told(error)) from None
    except (grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError):
        raise NotConnected("the stream has ended") from None


def event_dict(event: Any) -> dict[str, object]:
    """As JSON-RPC has it. Raises ValueError."""
    found: dict[str, Any] = {"data": _decode(event.data)}
    if event.HasField("key"):
        found["key"] = event.key
    for name in ("type", "subject", "time"):
        value = getattr(event, name)
        if value:
            found[name] = value
    if event.fields:
        found["fields"] = _decode(event.fields)
    return found


def _decode(raw: bytes) -> object:
    """Nothing is null. Raises ValueError."""
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"that is no JSON: {error}") from None


def _told(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name.lower()}: {error.details() or 'no reason was given'}"[:MAX_LINE]
