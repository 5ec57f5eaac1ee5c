"""One life of a plugin: its process, if it has one, the link to it, and the end of both."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from plugins.host.jsonrpc import JsonRpcLink
from plugins.host.link import ENDED, Publish, StandingLink
from plugins.host.manifest import Manifest, Tls, is_loopback
from plugins.host.process import end, kill, pump_lines, spawn
from plugins.program import Program, Reader
from reactor.contracts.errors import NotConnected
from reactor.contracts.facts import PluginLog
from reactor.kit.durations import parse_duration

if TYPE_CHECKING:
    import grpc.aio

SOCKET = "REACTOR_PLUGIN_SOCKET"
"""The variable with the path of the unix socket on which a plugin of protocol grpc serves."""
TOKEN = "REACTOR_PLUGIN_TOKEN"
"""The variable with the token that every call to it carries; another one in each life."""
LAST_WORDS = 0.5
"""Seconds for what a process that has ended still had to say."""
STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class Life:
    """`begin` makes one; then `run` beside `handshake`; then `close`."""

    def __init__(self, link: StandingLink, process: Program | None, tell: Callable[..., None]) -> None:
        self.link = link
        self.process = process
        self._tell = tell
        self.channel: grpc.aio.Channel | None = None
        self.folder: Path | None = None

    async def run(self) -> str:
        """Serves the link until the plugin is gone; why it is."""
        process, said = self.process, list[anyio.Event]()
        async with anyio.create_task_group() as group:
            if process is not None:
                for stream in (process.stderr, process.stdout if self.channel is not None else None):
                    said.append(anyio.Event())
                    group.start_soon(self._log, stream, said[-1])
                group.start_soon(self._until_ended, process)
            reason = await self.link.run()
            if process is not None and reason == ENDED:
                with anyio.move_on_after(LAST_WORDS):
                    await process.wait()
                    for one in said:
                        await one.wait()
                if process.returncode:
                    reason += f" ({_ended(process.returncode)})"
            group.cancel_scope.cancel()
        return reason

    async def _log(self, stream: Reader | None, done: anyio.Event) -> None:
        if stream is not None:
            await pump_lines(stream, lambda line: self._tell(PluginLog, message=line))
        done.set()

    async def _until_ended(self, process: Program) -> None:
        await process.wait()
        self.link.lose(ENDED)

    def kill(self) -> None:
        if self.process is not None:
            kill(self.process)

    async def close(self, patience: float = 2.0) -> None:
        """Gives a process `patience` seconds to end by itself."""
        with anyio.CancelScope(shield=True):
            if self.channel is not None:
                await self.channel.close()
            if self.process is not None:
                await end(self.process, patience)
            if self.folder is not None:
                shutil.rmtree(self.folder, ignore_errors=True)


async def begin(manifest: Manifest, hash: str, folder: Path, publish: Publish, tell: Callable[..., None]) -> Life:
    """A process that was started, or an address that is to be reached. Raises NotConnected."""
    if manifest.protocol == "jsonrpc":
        process = await spawn(manifest, hash, folder)
        return Life(JsonRpcLink(manifest.plugin, process, publish, tell), process, tell)
    # its children would else be told of our threads, on stderr
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc.aio

    from plugins.host.grpc import AUTHORITY, OPTIONS, GrpcLink

    timeout = parse_duration(manifest.timeout)
    if manifest.address is not None:
        token = os.environ.get(manifest.token or "")
        if not token:
            raise NotConnected(f"the variable {manifest.token} with its token is not set")
        if manifest.tls is None and is_loopback(manifest.address):
            channel = grpc.aio.insecure_channel(manifest.address, options=OPTIONS)
        else:
            tls = manifest.tls or Tls()
            named = (("grpc.ssl_target_name_override", tls.name),) if tls.name is not None else ()
            trusted = _credentials(tls, folder)
            channel = grpc.aio.secure_channel(manifest.address, trusted, options=(*OPTIONS, *named))
        life = Life(GrpcLink(manifest.plugin, channel, token, timeout, publish, tell), None, tell)
        life.channel = channel
        return life
    token = secrets.token_hex(32)
    place = Path(tempfile.mkdtemp(prefix="reactor-plugin-"))
    socket = place / "socket"
    try:
        process = await spawn(manifest, hash, folder, {SOCKET: str(socket), TOKEN: token})
    except NotConnected:
        shutil.rmtree(place, ignore_errors=True)
        raise
    channel = grpc.aio.insecure_channel(f"unix:{socket}", options=(*OPTIONS, *AUTHORITY))
    life = Life(GrpcLink(manifest.plugin, channel, token, timeout, publish, tell), process, tell)
    life.channel, life.folder = channel, place
    return life


def _credentials(tls: Tls, folder: Path) -> grpc.ChannelCredentials:
    """Raises NotConnected for files that cannot be read."""
    import grpc

    def read(name: str | None) -> bytes | None:
        if name is None:
            return None
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise NotConnected(f"{folder / name}: {error.strerror or error}") from None

    trusted = read(tls.ca) if tls.ca is not None else _system_store()
    return grpc.ssl_channel_credentials(trusted, read(tls.key), read(tls.cert))


def _system_store() -> bytes | None:
    """The certificates that this machine trusts; the library would take a list of its own."""
    for path in (ssl.get_default_verify_paths().cafile, *STORES):
        with contextlib.suppress(OSError):
            if path is not None:
                return Path(path).read_bytes()
    return None


def _ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"
