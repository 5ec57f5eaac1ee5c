"""What every plugin must do, whatever language it is in: held against a process of its own, for `reactor plugin check`.

Each check gets a fresh `Bench` and raises AssertionError with what the plugin does wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

from reactor.contracts.errors import StepFailed

LIMIT = 20.0
"""Seconds that a plugin has for each check."""


class Bench(Protocol):
    """A plugin that is up; `plugins.host.bench` makes it."""

    manifest: Any

    async def act(self, action: str, input: dict[str, Any]) -> Any:
        """Raises StepFailed."""
        ...

    async def listen(self, trigger: str, options: dict[str, Any]) -> None:
        """Listens until the plugin ends it. Raises StepFailed or NotConnected."""
        ...

    async def ask(self, method: str) -> Any:
        """A request of a method that there is not. Raises StepFailed. None for protocols without methods."""
        ...

    async def end(self) -> float:
        """Seconds from the end of its stdin to its own end."""
        ...

    def alive(self) -> str | None:
        """None, or why it is gone."""
        ...


Check = Callable[[Bench], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def require(condition: object, message: str) -> None:
    if not condition:
        raise AssertionError(message)


@check
async def it_comes_up_and_repeats_the_hash_of_its_manifest(bench: Bench) -> None:
    require(bench.alive() is None, str(bench.alive()))


@check
async def an_action_that_is_not_there_is_an_error_and_no_crash(bench: Bench) -> None:
    try:
        answer = await bench.act("no_such_action", {})
    except StepFailed as error:
        require(error.type != "plugin.down", f"it went down: {error}")
    else:
        raise AssertionError(f"it answered {str(answer)[:100]}")
    require(bench.alive() is None, str(bench.alive()))


@check
async def a_trigger_that_is_not_there_is_an_error_and_no_crash(bench: Bench) -> None:
    try:
        await bench.listen("no_such_trigger", {})
    except Exception as error:
        require("down" not in getattr(error, "type", ""), f"it went down: {error}")
    else:
        raise AssertionError("it listens to it")
    require(bench.alive() is None, str(bench.alive()))


@check
async def a_method_that_is_not_there_is_an_error_and_no_crash(bench: Bench) -> None:
    try:
        answer = await bench.ask("no_such_method")
    except StepFailed as error:
        require(error.type != "plugin.down", f"it went down: {error}")
    else:
        require(answer is None, f"it answered {str(answer)[:100]}")
    require(bench.alive() is None, str(bench.alive()))


@check
async def every_action_of_the_manifest_is_there(bench: Bench) -> None:
    for action in bench.manifest.actions:
        with anyio.move_on_after(LIMIT / 2):
            try:
                await bench.act(action, {})
            except StepFailed as error:
                require(error.type != "plugin.unknown", f"{action}: {error}")
                require(error.type != "plugin.down", f"{action} without options brought it down: {error}")
    require(bench.alive() is None, str(bench.alive()))


@check
async def calls_run_at_the_same_time_and_each_gets_its_own_answer(bench: Bench) -> None:
    failed: list[str] = []

    async def one(number: int) -> None:
        try:
            await bench.act(f"no_such_action_{number}", {})
        except StepFailed as error:
            if error.type == "plugin.down":
                failed.append(str(error))

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, number)
    require(not failed, failed[0] if failed else "")


@check
async def it_ends_when_its_stdin_does(bench: Bench) -> None:
    took = await bench.end()
    require(took < 5, f"it was still there {took:.0f} s after its stdin had ended: it would be killed")
