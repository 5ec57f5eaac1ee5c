"""A plugin on the bench: started alone, without a daemon, for `reactor plugin check` and `test`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio

from plugins.host.life import begin
from plugins.host.link import Call, StandingLink
from plugins.host.manifest import Manifest, load_manifest
from plugins.host.script import ScriptLink
from plugins.program import Program
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.facts import Fact

CONTEXT = {
    "run": "run_0", "flow": "bench", "step": "step", "attempt": 1, "idempotency_key": "run_0/do/0/0", "deadline": None,
}  # fmt: skip


class PluginBench:
    """Fulfils `reactor.testing.plugin_suite.Bench`."""

    def __init__(self, manifest: Manifest, link: StandingLink | ScriptLink, process: Program | None) -> None:
        self.manifest = manifest
        self._link = link
        self._process = process

    async def act(self, action: str, input: dict[str, object]) -> object:
        return await self._link.act(Call(action=action, input=input, context=CONTEXT))

    async def listen(self, trigger: str, options: dict[str, object]) -> None:
        if trigger not in self.manifest.triggers and isinstance(self._link, ScriptLink):
            await self._link.call({"trigger": trigger, "options": options, "cursor": None})
            return
        listening = await self._link.listen(trigger, options, None)
        with anyio.move_on_after(2):
            async for happened in listening.events():
                await listening.acknowledge(happened.number)

    async def show(self, trigger: str, options: dict[str, object], count: int, show: Callable[[object], None]) -> None:
        """The first events of a trigger."""
        listening = await self._link.listen(trigger, options, None)
        async for happened in listening.events():
            show(happened.event)
            await listening.acknowledge(happened.number)
            count -= 1
            if count <= 0:
                await listening.close()
                return

    async def ask(self, method: str) -> object:
        return None if isinstance(self._link, ScriptLink) else await self._link.ask(method)

    async def end(self) -> float:
        if self._process is None:
            return 0.0
        begun = anyio.current_time()
        if self._process.stdin is not None:
            await self._process.stdin.aclose()
        with anyio.move_on_after(6):
            await self._process.wait()
        return anyio.current_time() - begun

    def alive(self) -> str | None:
        return None if isinstance(self._link, ScriptLink) else self._link.gone


@contextlib.asynccontextmanager
async def bench(folder: Path, said: Callable[[str], None]) -> AsyncIterator[PluginBench]:
    """Starts the plugin of a folder; `said` hears its log. Raises ManifestError and NotConnected."""
    manifest, hash = load_manifest(folder)

    def tell(kind: type[Fact], **fields: object) -> None:
        said(str(fields.get("message", kind.NAME)))

    async def refuse(event: dict[str, Any]) -> dict[str, Any]:
        raise StepFailed("plugin.failed", "there is no daemon here that takes events")

    if manifest.protocol == "script":
        yield PluginBench(manifest, ScriptLink(manifest, hash, folder, tell), None)
        return
    life = await begin(manifest, hash, folder, refuse, tell)
    failed: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(life.run)
            await life.link.handshake(hash)
            try:
                yield PluginBench(manifest, life.link, life.process)
            except Exception as error:  # told as it is, outside of the group
                failed = error
            group.cancel_scope.cancel()
    except* NotConnected as errors:
        raise NotConnected(str(errors.exceptions[0])) from None
    finally:
        life.kill()
        await life.close(0.0)
    if failed is not None:
        raise failed
