"""`shell.run`: a program with an argument list, in a process group of its own.

Event data never becomes shell text: there is no shell. A timeout or a cancellation ends the whole group; when the
program ends by itself, its exit code decides, whatever its children do.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import msgspec

from plugins.environment import inherited
from plugins.output import explain, json_of
from plugins.program import Program, Reader, Writer, start
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.contracts.text import named, shown

GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""
LAST_OUTPUT = 0.5
"""Seconds after a program's end in which what its children still write counts."""


class RunOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    argv: list[str]
    """The program and its arguments; nothing is split or expanded."""
    stdin: str | None = None
    """What the program reads."""
    env: dict[str, str] = {}
    """Its variables, beside PATH, HOME, LANG and the REACTOR_ ones; nothing else is inherited."""
    cwd: str | None = None
    """Its folder, from the flow's own; that one unless given."""
    check: bool = True
    """Whether an exit code other than 0 fails the step."""
    limit: int = 1024 * 1024
    """Bytes of stdout, and of stderr, that are kept; more ends the program."""
    json: bool = False
    """Whether stdout is read as JSON into `json`."""
    background: str = "leave"
    """What becomes of children that still run when the program has ended: `leave` or `kill`."""


class Run(ActionKind[RunOptions]):
    name = "shell.run"
    summary = "Runs a program with an argument list; only with --allow shell."
    repeat = "never"
    needs = "shell"
    Options = RunOptions
    result_fields = ("exit_code", "stdout", "stderr", "stdout_bytes", "stderr_bytes", "json")
    example = "call: shell.run\nwith:\n  argv: [git, -C, /srv/site, pull]\ntimeout: 1m"

    async def run(self, options: RunOptions, context: ActionContext) -> object:
        result, raw = await perform(options, context)
        if options.json:
            try:
                result["json"] = json_of(raw)[0]
            except ValueError as error:
                raise StepFailed(
                    "shell.json", f"stdout is not JSON: {error}", retryable=False, details=result
                ) from None
        return result


async def perform(options: RunOptions, context: ActionContext) -> tuple[dict[str, Any], bytes]:
    """The result of a program that ended well, and its stdout as bytes. Raises StepFailed."""
    env = environment(options.env, context)
    _check(options, env)
    folder = Path(context.folder or ".")
    cwd = folder / options.cwd if options.cwd else folder
    try:
        program = start(options.argv, cwd=cwd, env=env, mark="REACTOR_RUN", stdin=options.stdin is not None)
    except OSError as error:
        message, again = explain(options.argv[0], cwd, env, error)
        raise StepFailed("shell.start", message, retryable=again) from None
    return await _finish(program, options, context)


def _check(options: RunOptions, env: dict[str, str]) -> None:
    if not options.argv or not options.argv[0]:
        raise _wrong("argv is empty")
    texts = [*options.argv, *env, *env.values(), options.cwd or ""]
    if any("\0" in text for text in texts):
        raise _wrong("argv, env and cwd cannot hold a zero byte")
    if any(not name or "=" in name for name in env):
        raise _wrong("the name of a variable is not empty and holds no =")
    if options.background not in ("leave", "kill"):
        raise _wrong("background is leave or kill")
    try:
        for text in texts:
            os.fsencode(text)
        (options.stdin or "").encode()
    except UnicodeEncodeError:
        raise _wrong("argv, env, cwd or stdin holds text that cannot be UTF-8") from None


def _wrong(message: str) -> StepFailed:
    return StepFailed("expression", message, retryable=False)


async def _finish(program: Program, options: RunOptions, context: ActionContext) -> tuple[dict[str, Any], bytes]:
    """The program's own end decides; what its children still write counts for a moment."""
    out, err = _Output(), _Output()
    ended = False
    try:
        async with anyio.create_task_group() as group:
            for output, stream in ((out, program.stdout), (err, program.stderr)):
                if stream is not None:
                    group.start_soon(output.read, stream, options.limit, group)
            if program.stdin is not None:
                group.start_soon(_feed, program.stdin, (options.stdin or "").encode())
            await program.wait()
            ended = True
            with anyio.move_on_after(LAST_OUTPUT):
                await out.ended.wait()
                await err.ended.wait()
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            if not ended or options.background == "kill":
                await end_group(program)
            elif not (out.over or err.over):
                program.leave()
            await program.aclose()
    if out.over or err.over:
        raise StepFailed("limit", f"the program wrote more than {options.limit:,} bytes", retryable=False)
    result = {"exit_code": program.returncode or 0, **named("stdout", out.data), **named("stderr", err.data)}
    if result["exit_code"] != 0 and options.check:
        raise _failed(options.argv[0], result, context)
    return result, out.data


def _failed(program: str, result: dict[str, Any], context: ActionContext) -> StepFailed:
    """Codes 126 and 127 are those of a shell that found no program to run: another try finds none either."""
    code = result["exit_code"]
    tail = context.mask(result["stderr"]).strip().splitlines()[-1:] or [""]
    return StepFailed(
        "shell.exit", f"{shown(program)} ended with {code}: {tail[0][:500]}",
        status=code, details=result, retryable=code not in (126, 127),
    )  # fmt: skip


def environment(given: dict[str, str], context: ActionContext) -> dict[str, str]:
    """A closed environment, with what is known of the step."""
    own = {
        "REACTOR_RUN": context.run,
        "REACTOR_FLOW": context.flow,
        "REACTOR_STEP": context.step,
        "REACTOR_IDEMPOTENCY_KEY": context.idempotency_key,
    }
    return {**inherited(), **own, **given}


class _Output:
    """One stream of the program. A child may keep it open after the program ended; what came is kept."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.over = False
        self.ended = anyio.Event()

    async def read(self, stream: Reader, limit: int, group: anyio.abc.TaskGroup) -> None:
        with contextlib.suppress(anyio.EndOfStream, anyio.ClosedResourceError):
            while True:
                self._data += await stream.receive()
                if len(self._data) > limit:
                    self.over = True
                    group.cancel_scope.cancel()
                    return
        self.ended.set()

    @property
    def data(self) -> bytes:
        return bytes(self._data)


async def _feed(stream: Writer, data: bytes) -> None:
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stream.send(data)
        await stream.aclose()


async def end_group(program: Program) -> None:
    """SIGTERM to the whole group, then SIGKILL to what is left of it."""
    if program.signal_group(signal.SIGTERM):
        with anyio.move_on_after(GRACE):
            await program.wait()
        program.kill()
    await program.wait()
