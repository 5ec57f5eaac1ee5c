"""One plugin: its manifest, its state, and the link to it, made when it is needed and again when it is lost."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.abc

from plugins.host.life import LAST_WORDS, begin
from plugins.host.link import ENDED, Link, Publish, down
from plugins.host.manifest import Manifest
from plugins.host.script import ScriptLink
from reactor.contracts.clock import Clock
from reactor.contracts.errors import NotConnected
from reactor.contracts.facts import Fact, PluginDown, PluginUp
from reactor.contracts.observe import Observer
from reactor.contracts.states import PluginState

PATIENCE = 10.0
"""Seconds that a call waits for a plugin that is not up."""
FIRST_PAUSE = 0.2
LAST_PAUSE = 30.0
STEADY = 60.0
"""Seconds after which a plugin that ran counts as well again."""


class Plugin:
    def __init__(
        self, manifest: Manifest, hash: str, folder: Path, clock: Clock, observer: Observer, publish: Publish
    ) -> None:
        self.manifest = manifest
        self.hash = hash
        self.folder = folder
        self.state = PluginState.starting
        self.error: str | None = None
        self.restarts = 0
        self.calls = 0
        self.active = 0
        """Calls under way."""
        self._clock = clock
        self._observer = observer
        self._publish = publish
        self.retired = anyio.Event()
        """Set when a new version has taken over: what listens goes there, what is called ends here."""
        self._link: Link | None = None
        self._up = anyio.Event()
        self._idle = anyio.Event()
        self._news = anyio.Event()
        self._scope = anyio.CancelScope()
        self._gone = anyio.Event()

    @property
    def name(self) -> str:
        return self.manifest.plugin

    def tell(self, kind: type[Fact], **fields: object) -> None:
        """A fact about this plugin."""
        self._observer.observe(kind(plugin=self.name, **fields))

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[Link]:
        """The link for one call, which `drain` waits for. Raises StepFailed `plugin.down`."""
        self.calls += 1
        self.active += 1
        try:
            yield await self.link()
        finally:
            self.active -= 1
            if not self.active:
                self._idle.set()
                self._idle = anyio.Event()

    async def came_up(self, seconds: float) -> bool:
        """Waits until it is up or has failed for the first time, at most so long. Whether it is up."""
        with anyio.move_on_after(seconds):
            while self.state is PluginState.starting:
                await self._news.wait()
        return self.state is PluginState.up

    async def drain(self, seconds: float) -> None:
        """Waits until no call is under way, at most so long."""
        with anyio.move_on_after(seconds):
            while self.active:
                await self._idle.wait()

    async def link(self) -> Link:
        """Waits for it a little. Raises StepFailed `plugin.down`."""
        if self._link is not None and self._link.gone is not None:
            self._down()
        if self._link is None:
            with anyio.move_on_after(PATIENCE):
                await self._up.wait()
        if self._link is None:
            raise down(self.name, self.error or "it does not start")
        return self._link

    async def run(self) -> None:
        """Keeps it up until `stop`."""
        try:
            with self._scope:
                if self.manifest.protocol == "script":
                    self._ready(ScriptLink(self.manifest, self.hash, self.folder, self.tell))
                    await anyio.sleep_forever()
                await self._keep()
        finally:
            self._link = None
            self.state = PluginState.stopped
            self._gone.set()

    async def _keep(self) -> None:
        failures = 0
        while True:
            begun = self._clock.monotonic()
            try:
                self.error = await self._live()
            except NotConnected as error:
                self.error = str(error)
            self._down()
            self._turned(PluginState.down)
            failures = 1 if self._clock.monotonic() - begun > STEADY else failures + 1
            pause = min(FIRST_PAUSE * 2.0 ** (failures - 1), LAST_PAUSE)
            self.tell(PluginDown, error=self.error, again=pause)
            await self._clock.sleep(pause)
            self.restarts += 1

    def _turned(self, state: PluginState) -> None:
        self.state = state
        self._news.set()
        self._news = anyio.Event()

    def _down(self) -> None:
        self._link = None
        if self._up.is_set():
            self._up = anyio.Event()

    async def _live(self) -> str:
        """One life of it; why it ended."""
        life = await begin(self.manifest, self.hash, self.folder, self._publish, self.tell)
        reason = [ENDED]
        try:
            async with anyio.create_task_group() as group:

                async def run() -> None:
                    reason[0] = await life.run()
                    group.cancel_scope.cancel()

                group.start_soon(run)
                try:
                    await life.link.handshake(self.hash)
                except NotConnected:
                    if life.link.gone is not None:  # how it ended says more
                        await anyio.sleep(LAST_WORDS)
                    raise
                self._ready(life.link)
                await anyio.sleep_forever()
        except* NotConnected as errors:
            raise NotConnected(str(errors.exceptions[0])) from None
        finally:
            if not self._scope.cancel_called:
                life.kill()
            await life.close()
        return reason[0]

    def _ready(self, link: Link) -> None:
        self._link = link
        self.error = None
        self._up.set()
        self._turned(PluginState.up)
        self.tell(PluginUp, version=self.manifest.version)

    async def stop(self) -> None:
        self._scope.cancel()
        await self._gone.wait()
