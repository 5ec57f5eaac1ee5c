"""A plugin's process: its own group, a closed environment, bounds, its stderr in our log, gone with us."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import anyio

from plugins.environment import inherited
from plugins.host.manifest import Manifest
from plugins.output import explain
from plugins.program import Program, Reader, start
from reactor.contracts.errors import NotConnected
from reactor.contracts.text import shown
from reactor.kit.durations import parse_duration, parse_size

MAX_LINE = 64 * 1024
"""Characters of a line that are taken. The log shows fewer: it masks first, and cuts then."""
MANIFEST_HASH = "REACTOR_PLUGIN_MANIFEST"
"""The variable with the hash of the manifest, for a plugin that does not work it out itself."""


def environment(manifest: Manifest, hash: str) -> dict[str, str]:
    """A closed environment, with what the manifest asks for."""
    return {**inherited(manifest.env), "REACTOR_PLUGIN": manifest.plugin, MANIFEST_HASH: hash}


async def spawn(manifest: Manifest, hash: str, folder: Path, more: Mapping[str, str] = MappingProxyType({})) -> Program:
    """Starts it, with pipes for all three streams and `more` variables. Raises NotConnected."""
    program, *arguments = manifest.command
    if "/" in program:
        program = str((folder / program).absolute())
    env = {**environment(manifest, hash), **more}
    try:
        process = start([program, *arguments], cwd=folder, env=env, mark="REACTOR_PLUGIN")
    except OSError as error:
        raise NotConnected(f"{manifest.plugin}: cannot start: {explain(program, folder, env, error)[0]}") from None
    with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
        _bound(process.pid, manifest)
    return process


def _bound(pid: int, manifest: Manifest) -> None:
    limits = manifest.limits
    if limits.memory is not None:
        size = parse_size(limits.memory)
        resource.prlimit(pid, resource.RLIMIT_AS, (size, size))
    if limits.cpu is not None:
        seconds = int(parse_duration(limits.cpu))
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds + 5))
    if limits.files is not None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limits.files, limits.files))


def kill(process: Program) -> None:
    """It and all that it started."""
    process.kill()


async def end(process: Program, patience: float = 2.0) -> None:
    """Closes its stdin, which tells it to end; kills what is left after `patience` seconds."""
    with anyio.CancelScope(shield=True):
        if process.stdin is not None:
            process.stdin.close()
        with anyio.move_on_after(patience):
            await process.wait()
        process.kill()
        await process.wait()
        await process.aclose()


async def pump_lines(stream: Reader, tell: Callable[[str], None]) -> None:
    """Hands over what comes, line by line; a line that is too long is cut."""
    rest = b""
    with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            rest += await stream.receive()
            *lines, rest = rest.split(b"\n")
            for line in lines:
                tell(shown(line[:MAX_LINE]).rstrip("\r"))
            if len(rest) > MAX_LINE:
                tell(shown(rest[:MAX_LINE]))
                rest = b""
    if rest:
        tell(shown(rest[:MAX_LINE]))
