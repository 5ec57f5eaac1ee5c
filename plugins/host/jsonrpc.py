"""A process that stays, and speaks JSON-RPC 2.0 over stdin and stdout, one message a line."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.abc
import msgspec

from plugins.host.link import (
    CREDIT,
    ENDED,
    GRACE,
    HANDSHAKE,
    MAX_MESSAGE,
    PROTOCOL,
    Call,
    Happened,
    Publish,
    down,
    failure,
)
from plugins.host.process import MAX_LINE
from plugins.program import Program
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.facts import PluginLog, PluginProgress
from reactor.contracts.text import shown, without_bom

OUTBOX = 100
"""Messages that wait for a plugin that does not read."""


class JsonRpcListening:
    def __init__(self, link: JsonRpcLink, id: int) -> None:
        self._link = link
        self._id = id
        self._sender, self._heard = anyio.create_memory_object_stream[Happened | StepFailed](CREDIT + 1)
        self._seen = 0
        self._acknowledged = 0

    def hear(self, params: dict[str, object]) -> None:
        """Raises ValueError for an event that is not what was agreed."""
        event, number = params.get("event"), params.get("n")
        if not isinstance(event, dict) or number != self._seen + 1:
            raise ValueError(f"an event number {self._seen + 1} was due, not {number!r}")
        self._seen += 1
        if self._seen - self._acknowledged > CREDIT:
            raise ValueError(f"more than {CREDIT} events were sent before one was acknowledged")
        self._sender.send_nowait(Happened(number=self._seen, event=event, cursor=params.get("cursor")))

    def end(self, error: StepFailed) -> None:
        self._sender.close()
        self._error = error

    async def events(self) -> AsyncIterator[Happened]:
        async for item in self._heard:
            assert isinstance(item, Happened)
            yield item
        raise NotConnected(str(self._error))

    async def acknowledge(self, number: int) -> None:
        self._acknowledged = number
        await self._link.notify("ack", {"listen": self._id, "n": number})

    async def close(self) -> None:
        self._sender.close()
        self._heard.close()
        await self._link.forget(self._id)


class JsonRpcLink:
    """Fulfils `Link`. `publish` takes events that the plugin sends by itself; `tell` its log and progress."""

    def __init__(self, plugin: str, process: Program, publish: Publish, tell: Callable[..., None]) -> None:
        self._plugin = plugin
        self._process = process
        self._publish = publish
        self._tell = tell
        self._ids = itertools.count(1)
        self._open: dict[int, tuple[anyio.Event, list[object]]] = {}
        self._listening: dict[int, JsonRpcListening] = {}
        self._outbox, self._outgoing = anyio.create_memory_object_stream[bytes](OUTBOX)
        self._group: anyio.abc.TaskGroup | None = None
        self._ended = anyio.Event()
        self._stray: str | None = None
        self.gone: str | None = None

    async def handshake(self, hash: str) -> None:
        with anyio.move_on_after(HANDSHAKE) as scope:
            try:
                answer = await self._ask("handshake", {"protocol": PROTOCOL, "manifest": hash})
            except StepFailed as error:
                raise NotConnected(f"the handshake failed: {error}") from None
            if not isinstance(answer, dict) or answer.get("protocol") != PROTOCOL:
                raise NotConnected(f"it does not speak protocol {PROTOCOL}: {str(answer)[:200]}")
            if answer.get("manifest") != hash:
                raise NotConnected(f"its handshake has the manifest {answer.get('manifest')}, its folder {hash}")
        if scope.cancelled_caught:
            stray = "" if self._stray is None else f"; on stdout it wrote {self._stray}"
            raise NotConnected(f"it did not answer the handshake in {HANDSHAKE:g} s{stray}")

    async def run(self) -> str:
        reason = ENDED
        rest = b""
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._write)
                group.start_soon(self._until_ended, group.cancel_scope)
                while True:
                    rest += await stdout.receive(65_536)
                    *lines, rest = rest.split(b"\n")
                    for line in lines:
                        if line.strip():
                            self._take(line)
                    if len(rest) > MAX_MESSAGE:
                        raise ValueError("it sent a message of more than 16 MiB")
        except* (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        except* (ValueError, KeyError, TypeError, anyio.WouldBlock) as errors:
            reason = str(errors.exceptions[0]) or "it broke the protocol"
        finally:
            self._lost(reason)
        return reason

    def lose(self, reason: str) -> None:
        self._ended.set()

    async def _until_ended(self, scope: anyio.CancelScope) -> None:
        """The end of the process counts, not that of its pipe, which a child of it may hold."""
        await self._ended.wait()
        await anyio.sleep(GRACE)
        scope.cancel()

    def _lost(self, reason: str) -> None:
        self.gone = reason
        self._outbox.close()
        self._outgoing.close()
        error = down(self._plugin, reason)
        for done, result in self._open.values():
            result.append(error)
            done.set()
        self._open.clear()
        for listening in self._listening.values():
            listening.end(error)
        self._listening.clear()

    def _take(self, line: bytes) -> None:
        try:
            message = msgspec.json.decode(without_bom(line))
        except (msgspec.DecodeError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._stray = repr(shown(line[:200]))
            words = f"a line on stdout that is not a JSON-RPC message: {shown(line[:MAX_LINE])}"
            self._tell(PluginLog, level="warning", message=words)
            return
        method = message.get("method")
        if method is None:
            self._answered(message)
        elif method == "event":
            params = message["params"]
            listening = self._listening.get(params["listen"])
            if listening is not None:
                listening.hear(params)
        elif method == "log":
            params = message["params"]
            self._tell(PluginLog, level=params.get("level", "info"), message=str(params.get("message", ""))[:MAX_LINE])
        elif method == "progress":
            self._tell(PluginProgress, **{k: v for k, v in message["params"].items() if k in ("message", "percent")})
        elif method == "publish" and self._group is not None:
            self._group.start_soon(self._published, message.get("id"), message["params"])
        else:
            raise ValueError(f"it called {str(method)[:100]!r}, which is no method of the host")

    def _answered(self, message: dict[str, object]) -> None:
        id = message.get("id")
        known = self._open.pop(id, None) if isinstance(id, int) else None
        if known is not None:
            done, result = known
            error = message.get("error")
            if error is not None:
                data = error.get("data") if isinstance(error, dict) else None
                told = {**(data if isinstance(data, dict) else {}), "message": error.get("message", error)} \
                    if isinstance(error, dict) else error  # fmt: skip
                result.append(failure(self._plugin, told))
            else:
                result.append(message.get("result"))
            done.set()
        elif id in self._listening:
            error = message.get("error")
            said = error.get("message") if isinstance(error, dict) else "the plugin ended it"
            self._listening.pop(id).end(StepFailed("plugin.failed", str(said)[:MAX_LINE]))

    async def _published(self, id: object, params: dict[str, Any]) -> None:
        try:
            result = await self._publish(params.get("event", {}))
            answer: dict[str, object] = {"result": result}
        except Exception as error:
            answer = {"error": {"code": -32000, "message": str(error)}}
        if id is not None:
            await self._send({"jsonrpc": "2.0", "id": id, **answer})

    async def _send(self, message: dict[str, object]) -> None:
        line = msgspec.json.encode(message) + b"\n"
        try:
            if self.gone is None:
                await self._outbox.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        if self.gone is not None:
            raise down(self._plugin, self.gone)

    async def _write(self) -> None:
        """One line after the other, each whole: a call that is given up leaves none half written."""
        stdin = self._process.stdin
        assert stdin is not None
        async for line in self._outgoing:
            await stdin.send(line)

    async def notify(self, method: str, params: dict[str, object]) -> None:
        await self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def ask(self, method: str) -> object:
        return await self._ask(method, {})

    async def _ask(self, method: str, params: dict[str, object]) -> object:
        id = next(self._ids)
        done, result = anyio.Event(), []  # type: tuple[anyio.Event, list[object]]
        self._open[id] = (done, result)
        try:
            await self._send({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
            await done.wait()
        except anyio.get_cancelled_exc_class():
            if self._open.pop(id, None) is not None and self.gone is None and self._group is not None:
                self._group.start_soon(self._cancelled, id)
            raise
        finally:
            self._open.pop(id, None)
        if isinstance(result[0], StepFailed):
            raise result[0]
        return result[0]

    async def _cancelled(self, id: int) -> None:
        try:
            await self.notify("cancel", {"id": id})
        except StepFailed:
            return

    async def act(self, call: Call) -> object:
        return await self._ask("act", {"action": call.action, "input": call.input, "context": call.context})

    async def listen(self, trigger: str, options: dict[str, object], cursor: object) -> JsonRpcListening:
        id = next(self._ids)
        listening = self._listening[id] = JsonRpcListening(self, id)
        params = {"trigger": trigger, "options": options, "cursor": cursor, "credit": CREDIT}
        await self._send({"jsonrpc": "2.0", "id": id, "method": "listen", "params": params})
        return listening

    async def forget(self, id: int) -> None:
        if self._listening.pop(id, None) is not None and self.gone is None:
            with anyio.CancelScope(shield=True):
                await self._cancelled(id)
