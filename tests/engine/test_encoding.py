"""Whatever text an action or an observer comes with, the engine and the feed go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.expressions import compile_template
from reactor.contracts.action import ActionContext, ActionSettings
from reactor.contracts.errors import StepFailed
from reactor.contracts.facts import ActionLog, Fact
from reactor.contracts.journal import Failed, encode_entries
from reactor.contracts.kinds import ActionKind
from reactor.engine import machine
from reactor.engine.perform import ActionPerformer
from reactor.engine.runner import Live, Runner
from reactor.observe.feed import Feed
from reactor.store.memory.store import MemoryStore
from tests.flows_help import begin

ODD = ["name \udcff", {"k\ud83d": 1}]


class OddOptions(msgspec.Struct):
    message: Any = None


class Odd(ActionKind[OddOptions]):
    Options = OddOptions

    async def run(self, options: OddOptions, context: ActionContext) -> object:
        return ODD


class Failing(Odd):
    async def run(self, options: OddOptions, context: ActionContext) -> object:
        raise StepFailed("x.odd", "bad \udcff", details={"name": ODD})


class Crashing(Odd):
    async def run(self, options: OddOptions, context: ActionContext) -> object:
        raise ValueError("bad \udcff")


class Only:
    """A registry of one action."""

    def __init__(self, action: type[Odd]) -> None:
        self._action = action

    def names(self) -> list[str]:
        return ["log"]

    def get(self, name: str) -> type[Odd]:
        return {"log": self._action}[name]


class Clock:
    def now(self) -> float:
        return 1000.0

    def monotonic(self) -> float:
        return 1000.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


class Silent:
    def observe(self, fact: Fact) -> None:
        return None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("action", "type", "retryable"),
    [(Odd, "action.result", False), (Failing, "x.odd", True), (Crashing, "action.error", True)],
)
async def test_a_result_or_an_error_that_is_not_utf_8_is_a_failed_step(
    action: type[Odd], type: str, retryable: bool, anyio_backend: str
) -> None:
    run = begin("flow: f\nwhen: [{event: x}]\ndo:\n  - {call: log, with: {message: hi}}\n")
    (command,) = machine.commands(run)
    performer = ActionPerformer(Only(action), Clock(), lambda name: name, ActionSettings(), Silent())
    runner = Runner(MemoryStore(), None, performer, Clock(), Silent(), None)  # type: ignore[arg-type]
    entry = await runner._perform(Live(run, None, 0, None), command.frame, None)  # type: ignore[arg-type]
    assert isinstance(entry, Failed)
    assert (entry.error["type"], entry.error["retryable"]) == (type, retryable)
    assert b"udc" in encode_entries([entry]) or b"xff" in encode_entries([entry])


def test_the_feed_encodes_any_text() -> None:
    feed = Feed(Clock())
    hear = feed.listener(ActionLog)
    assert hear is not None
    feed.clients = 1
    odd = {"result": ODD, "path": Path("/x\udcff"), "error": ValueError("\ud83d")}
    hear(ActionLog(level="info", message="", flow="f", fields=odd))
    feed.tick()
    frames, _ = feed._since(0, None, None)
    (frame,) = frames
    assert msgspec.json.decode(frame.message)["data"]["result"] == ["name \\xff", {"k\\ud83d": 1}]


def test_static_text_with_half_a_character_is_an_error_where_it_is_used() -> None:
    rendered = compile_template({"a": ["x\ud83d"], "b": 1}, lambda *_: None)
    with pytest.raises(StepFailed) as raised:
        rendered.render({})
    assert raised.value.type == "expression"
