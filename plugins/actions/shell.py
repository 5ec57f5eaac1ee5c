"""`shell.run`: a program with an argument list, in a process group of its own.

Event data never becomes shell text: there is no shell. A timeout or a cancellation ends the whole group.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any, ClassVar

import anyio
import anyio.abc
import msgspec

from plugins.environment import inherited
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed

GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""


class RunOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    argv: list[str]
    """The program and its arguments; nothing is split or expanded."""
    stdin: str | None = None
    """What the program reads."""
    env: dict[str, str] = {}
    """Its variables, beside PATH, HOME, LANG and the REACTOR_ ones; nothing else is inherited."""
    cwd: str | None = None
    """Its folder; the flow's own unless given."""
    check: bool = True
    """Whether an exit code other than 0 fails the step."""
    limit: int = 1024 * 1024
    """Bytes of stdout, and of stderr, that are kept; more ends the program."""
    json: bool = False
    """Whether stdout is read as JSON into `json`."""


class Run:
    name = "shell.run"
    summary = "Runs a program with an argument list; only with --allow shell."
    repeat = "never"
    needs: ClassVar[str | None] = "shell"
    Options = RunOptions
    result_fields = ("exit_code", "stdout", "stderr", "json")
    example = "call: shell.run\nwith:\n  argv: [git, -C, /srv/site, pull]\ntimeout: 1m"

    async def run(self, options: RunOptions, context: ActionContext) -> Any:
        if not options.argv or not options.argv[0]:
            raise StepFailed("expression", "argv is empty")
        if any("\0" in part for part in (*options.argv, *options.env, *options.env.values())):
            raise StepFailed("expression", "argv and env cannot hold a zero byte")
        try:
            process = await anyio.open_process(
                options.argv,
                stdin=-1 if options.stdin is not None else -3,
                env=environment(options.env, context),
                cwd=options.cwd or context.folder or None,
                start_new_session=True,
            )
        except OSError as error:
            raise StepFailed("shell.start", f"{options.argv[0]}: {error.strerror or error}", retryable=False) from None
        return await self._finish(process, options)

    async def _finish(self, process: anyio.abc.Process, options: RunOptions) -> Any:
        out, err = _Output(), _Output()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(out.read, process.stdout, options.limit, group)
                group.start_soon(err.read, process.stderr, options.limit, group)
                if process.stdin is not None:
                    group.start_soon(_feed, process.stdin, (options.stdin or "").encode())
                await process.wait()
                with anyio.move_on_after(GRACE):
                    await out.ended.wait()
                    await err.ended.wait()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await end_group(process)
                await process.aclose()
        if out.over or err.over:
            raise StepFailed("limit", f"the program wrote more than {options.limit:,} bytes", retryable=False)
        return self._result(process.returncode or 0, out.text(), err.text(), options)

    def _result(self, code: int, stdout: str, stderr: str, options: RunOptions) -> Any:
        result: dict[str, Any] = {"exit_code": code, "stdout": stdout, "stderr": stderr}
        if code != 0 and options.check:
            tail = result["stderr"].strip().splitlines()[-1:] or [""]
            raise StepFailed(
                "shell.exit",
                f"{options.argv[0]} ended with {code}: {tail[0][:500]}",
                status=code,
                details=result,
            )
        if options.json:
            try:
                result["json"] = msgspec.json.decode(result["stdout"])
            except msgspec.DecodeError as error:
                raise StepFailed("shell.json", f"stdout is no JSON: {error}", retryable=False, details=result) from None
        return result


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
    """One stream of the program. A grandchild may keep it open after the program ended; what came is kept."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.over = False
        self.ended = anyio.Event()

    async def read(self, stream: Any, limit: int, group: anyio.abc.TaskGroup) -> None:
        with contextlib.suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                self._data += await stream.receive()
                if len(self._data) > limit:
                    self.over = True
                    group.cancel_scope.cancel()
                    return
        self.ended.set()

    def text(self) -> str:
        return self._data.decode("utf-8", "replace")


async def _feed(stream: Any, data: bytes) -> None:
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        await stream.send(data)
        await stream.aclose()


async def end_group(process: anyio.abc.Process) -> None:
    """SIGTERM to the whole group, then SIGKILL to what is left of it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        if process.returncode is None:
            with anyio.move_on_after(GRACE):
                await process.wait()
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
