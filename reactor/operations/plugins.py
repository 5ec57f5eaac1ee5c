"""Plugins: what they bring, and how they are."""

from __future__ import annotations

from plugins.host.host import Host
from reactor.server import answers


class PluginOperations:
    def __init__(self, host: Host) -> None:
        self._host = host

    def items(self) -> list[answers.Plugin]:
        return [
            answers.Plugin(
                name=plugin.name,
                version=plugin.manifest.version,
                summary=plugin.manifest.summary,
                protocol=plugin.manifest.protocol,
                state=plugin.state,
                error=plugin.error,
                restarts=plugin.restarts,
                calls=plugin.calls,
                folder=str(plugin.folder),
                hash=plugin.hash,
                actions=[f"{plugin.name}.{name}" for name in plugin.manifest.actions],
                triggers=[f"{plugin.name}.{name}" for name in plugin.manifest.triggers],
            )
            for plugin in self._host.plugins.values()
        ]
