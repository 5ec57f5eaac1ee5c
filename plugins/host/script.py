"""A program that is started for each call: one JSON value on stdin, one on stdout. Any language, no library."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec

from plugins.host.link import GRACE, Call, Happened, down, failure
from plugins.host.manifest import Manifest
from plugins.host.process import MAX_LINE, end, kill, pump_lines, spawn
from plugins.program import Reader
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.facts import PluginLog
from reactor.contracts.text import shown, without_bom
from reactor.kit.durations import parse_duration

MAX_OUTPUT = 16 * 1024 * 1024
MAX_STRAY = 100
"""Lines before an answer, and behind it, that are looked at."""


class ScriptListening:
    """A trigger as calls, one after the other: each gets the cursor of the one before, once its events are durable."""

    def __init__(self, link: ScriptLink, trigger: str, options: dict[str, Any], cursor: Any, every: float) -> None:
        self._link = link
        self._request = {"trigger": trigger, "options": options}
        self._cursor = cursor
        self._every = every
        self._durable = 0
        self._news = anyio.Event()

    async def events(self) -> AsyncIterator[Happened]:
        number = 0
        while True:
            try:
                answer = await self._link.call({**self._request, "cursor": self._cursor})
            except StepFailed as error:
                raise NotConnected(str(error)) from None
            if not isinstance(answer, dict) or not isinstance(answer.get("events"), list):
                raise NotConnected(f"the trigger answers {{events: [...], cursor: ...}}, not {str(answer)[:200]}")
            events = answer["events"]
            for place, event in enumerate(events, 1):
                if not isinstance(event, dict):
                    raise NotConnected(f"an event is an object, not {str(event)[:200]}")
                number += 1
                last = place == len(events)
                yield Happened(number=number, event=event, cursor=answer.get("cursor") if last else None)
            while self._durable < number:
                news = self._news
                await news.wait()
            self._cursor = answer.get("cursor", self._cursor)
            if not answer.get("more", False):
                await anyio.sleep(self._every)

    async def acknowledge(self, number: int) -> None:
        self._durable = number
        self._news.set()
        self._news = anyio.Event()

    async def close(self) -> None:
        return None


class ScriptLink:
    """Fulfils `Link`."""

    def __init__(self, manifest: Manifest, hash: str, folder: Path, tell: Callable[..., None]) -> None:
        self._manifest = manifest
        self._hash = hash
        self._folder = folder
        self._tell = tell
        self.gone: str | None = None

    async def act(self, call: Call) -> Any:
        answer = await self.call({"action": call.action, "input": call.input, "context": call.context})
        if not isinstance(answer, dict) or "result" not in answer:
            raise failure(self._manifest.plugin, f"an action answers {{result: ...}}, not {str(answer)[:MAX_LINE]}")
        return answer["result"]

    async def listen(self, trigger: str, options: dict[str, Any], cursor: Any) -> ScriptListening:
        every = parse_duration(self._manifest.triggers[trigger].every)
        return ScriptListening(self, trigger, options, cursor, every)

    async def call(self, request: dict[str, Any]) -> object:
        """The answer of one process. Raises StepFailed."""
        name = self._manifest.plugin
        try:
            process = await spawn(self._manifest, self._hash, self._folder)
        except NotConnected as error:
            raise down(name, str(error)) from None
        output = bytearray()
        last: list[str] = []

        def tell(line: str) -> None:
            last[:] = [*last[-4:], line]
            self._tell(PluginLog, level="info", message=line)

        async def read(stream: Reader) -> None:
            try:
                while True:
                    output.extend(await stream.receive(65_536))
                    if len(output) > MAX_OUTPUT:
                        kill(process)
                        return
            except anyio.EndOfStream:
                return

        try:
            async with anyio.create_task_group() as group:
                assert process.stdin is not None and process.stdout is not None and process.stderr is not None
                group.start_soon(read, process.stdout)
                group.start_soon(pump_lines, process.stderr, tell)
                try:
                    await process.stdin.send(msgspec.json.encode(request) + b"\n")
                    await process.stdin.aclose()
                except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                    pass  # it does not read; what it answers counts
                await process.wait()
                group.cancel_scope.deadline = anyio.current_time() + GRACE
        finally:
            await end(process, 0.0)
        if len(output) > MAX_OUTPUT:
            raise failure(name, "it wrote more than 16 MiB")
        return self._answer(bytes(output), process.returncode or 0, last)

    def _answer(self, output: bytes, code: int, last: list[str]) -> object:
        name = self._manifest.plugin
        answer, others = _value(output)
        for line in others:
            self._tell(PluginLog, level="warning", message=f"a line on stdout that is not the answer: {line}")
        if isinstance(answer, dict) and "error" in answer:
            raise failure(name, answer["error"])
        said = f": {last[-1]}" if last else ""
        if code < 0:
            raise down(name, f"it was ended by signal {-code}{said}")
        if code:
            raise StepFailed("plugin.failed", f"{name} ended with exit code {code}{said}", retryable=False)
        if answer is None:
            raise failure(name, f"it wrote no JSON value: {output[:MAX_LINE]!r}{said}")
        return answer


def _value(output: bytes) -> tuple[object, list[str]]:
    """The JSON value that a program wrote, and the lines around it that are not part of it: a banner, a stray print."""
    data = without_bom(output)
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        return msgspec.json.decode(data), []
    text = shown(data)
    reader = json.JSONDecoder()
    lines = text.splitlines(keepends=True)
    start = 0
    for place, line in enumerate(lines[:MAX_STRAY]):
        if line.lstrip().startswith("{"):
            with contextlib.suppress(ValueError, RecursionError):
                answer, end = reader.raw_decode(text, start + len(line) - len(line.lstrip()))
                rest = text[end:].splitlines()[:MAX_STRAY]
                return answer, [one.strip()[:MAX_LINE] for one in (*lines[:place], *rest) if one.strip()]
        start += len(line)
    return None, []
