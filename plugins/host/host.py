"""All plugins of the daemon: looked for in their directories, kept up, and put into the registry of kinds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.abc

from plugins.host.kinds import action_class, trigger_class
from plugins.host.link import Publish
from plugins.host.manifest import FILE, ManifestError, load_manifest
from plugins.host.plugin import Plugin
from plugins.host.stamps import Stamp, stamp
from reactor.contracts.clock import Clock
from reactor.contracts.facts import PluginRefused
from reactor.contracts.kinds import AnyAction, AnyTrigger
from reactor.contracts.observe import Observer
from reactor.contracts.registry import OpenRegistry
from reactor.contracts.states import PluginState
from reactor.kit.durations import parse_duration

LOOK = 1.0
"""Seconds between two looks at the directories."""
DEPLOY = 30.0
"""Seconds that the new version of a plugin has to come up while the version before goes on."""


def plugin_folders(directories: Sequence[Path]) -> list[Path]:
    """Folders with a manifest: the directories themselves, and those directly in them."""
    found = []
    for directory in directories:
        if (directory / FILE).is_file():
            found.append(directory)
        elif directory.is_dir():
            found += sorted(one.parent for one in directory.glob(f"*/{FILE}"))
    return found


class PluginKinds(Protocol):
    """Where the kinds of plugins go."""

    @property
    def actions(self) -> OpenRegistry[AnyAction]: ...

    @property
    def triggers(self) -> OpenRegistry[AnyTrigger]: ...

    @property
    def make_validator(self) -> Any: ...


class Host:
    """`publish` takes an event that a plugin sends by itself; `changed` is told when kinds come, go or change."""

    def __init__(
        self,
        directories: Sequence[Path],
        kinds: PluginKinds,
        clock: Clock,
        observer: Observer,
        publish: Publish,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._directories = list(directories)
        self._kinds = kinds
        self._clock = clock
        self._observer = observer
        self._publish = publish
        self._group: anyio.abc.TaskGroup | None = None
        self._stamps: dict[Path, Stamp] = {}
        self.plugins: dict[str, Plugin] = {}
        self._retiring: set[Plugin] = set()
        self.problems: list[str] = []
        self._changed = changed

    async def watch(self) -> None:
        """Looks again and again, until cancelled. A change is taken when two looks see the same: what is being written
        is not started."""
        before = self._stamps
        while True:
            await self._clock.sleep(LOOK)
            now = await anyio.to_thread.run_sync(self._stamped)
            if now != self._stamps and now == before:
                await self.load()
                if self._changed is not None:
                    await self._changed()
            before = now

    def _stamped(self) -> dict[Path, Stamp]:
        found = {}
        for folder in plugin_folders(self._directories):
            state = stamp(folder)
            if state is not None:
                found[folder] = state
        return found

    async def load(self, group: anyio.abc.TaskGroup | None = None) -> None:
        """Reads all manifests; starts what is new, stops what is gone. With `group` for the first time."""
        self._group = group or self._group
        if not self._directories:
            return
        known_stamps, self._stamps = self._stamps, await anyio.to_thread.run_sync(self._stamped)
        wanted: dict[str, Plugin] = {}
        problems: list[str] = []
        for folder in self._stamps:
            try:
                manifest, hash = load_manifest(folder)
                if manifest.plugin in wanted:
                    first = wanted[manifest.plugin].folder
                    raise ManifestError([f"{folder}: the plugin {manifest.plugin} is already in {first}"])
                known = self.plugins.get(manifest.plugin)
                same = known_stamps.get(folder) == self._stamps[folder]
                if known is not None and known.hash == hash and known.folder == folder and same:
                    wanted[manifest.plugin] = known
                    continue
                made = Plugin(manifest, hash, folder, self._clock, self._observer, self._publish)
                self._check(made)
                wanted[manifest.plugin] = made
            except ManifestError as error:
                problems += error.problems
                for name, old in self.plugins.items():  # the last good version stays
                    if old.folder == folder:
                        wanted.setdefault(name, old)
        problems += await self._swap(wanted)
        for problem in problems:
            if problem not in self.problems:
                self._observer.observe(PluginRefused(error=problem))
        self.problems = problems

    def _check(self, plugin: Plugin) -> None:
        """Raises ManifestError for a name that something else has, or a schema that is none."""
        problems = []
        own = {f"{p.name}.{n}" for p in self.plugins.values() for n in (*p.manifest.actions, *p.manifest.triggers)}
        manifest, kinds = plugin.manifest, self._kinds
        for registry, specs in ((kinds.actions, manifest.actions), (kinds.triggers, manifest.triggers)):
            taken = set(registry.names()) - own
            for name in specs:
                if f"{plugin.name}.{name}" in taken:
                    problems.append(f"{plugin.folder}: {plugin.name}.{name} is a name of Reactor's own")  # noqa: PERF401
            for name, spec in specs.items():
                try:
                    self._kinds.make_validator(spec.options)
                except ValueError as error:
                    problems.append(f"{plugin.folder}: the options of {name} are no JSON Schema: {error}")
        if problems:
            raise ManifestError(problems)

    async def _swap(self, wanted: dict[str, Plugin]) -> list[str]:
        """Makes the plugins those that are wanted; what is wrong with new versions that did not start."""
        problems: list[str] = []
        for name, old in list(self.plugins.items()):
            if name not in wanted:
                self._unregister(old)
                del self.plugins[name]
                await old.stop()
        async with anyio.create_task_group() as group:
            for name, plugin in wanted.items():
                known = self.plugins.get(name)
                if known is plugin:
                    continue
                if known is not None:
                    group.start_soon(self._replace, known, plugin, problems)
                    continue
                self._register(plugin)
                self._start(plugin)
        return problems

    async def _replace(self, old: Plugin, new: Plugin, problems: list[str]) -> None:
        """The new life comes up beside the old one, then its kinds take over in one step, and the old one ends when its
        calls have. A new life that does not come up leaves the old one as it is."""
        self._start(new)
        if old.state is PluginState.up and not await new.came_up(DEPLOY):
            problems.append(f"{new.folder}: the new version does not start ({new.error}); the version before goes on")
            await new.stop()
            return
        self._unregister(old)
        self._register(new)
        if self._group is not None:
            self._group.start_soon(self._retire, old)

    async def _retire(self, old: Plugin) -> None:
        self._retiring.add(old)
        old.retired.set()
        await old.drain(parse_duration(old.manifest.timeout))
        await old.stop()
        self._retiring.discard(old)

    def _start(self, plugin: Plugin) -> None:
        if self._group is not None:
            self._group.start_soon(plugin.run)

    def _register(self, plugin: Plugin) -> None:
        name = plugin.name
        self.plugins[name] = plugin
        for action, spec in plugin.manifest.actions.items():
            self._kinds.actions.add(f"{name}.{action}", action_class(plugin, action, spec, self._kinds.make_validator))
        for trigger, given in plugin.manifest.triggers.items():
            made = trigger_class(plugin, trigger, given, self._kinds.make_validator)
            self._kinds.triggers.add(f"{name}.{trigger}", made)

    def _unregister(self, plugin: Plugin) -> None:
        for action in plugin.manifest.actions:
            self._kinds.actions.remove(f"{plugin.name}.{action}")
        for trigger in plugin.manifest.triggers:
            self._kinds.triggers.remove(f"{plugin.name}.{trigger}")

    async def stop(self) -> None:
        async with anyio.create_task_group() as group:
            for plugin in (*self.plugins.values(), *self._retiring):
                group.start_soon(plugin.stop)
