"""A kind of trigger is one class: nothing else of the project is told of it, and the class says all that others read."""

from __future__ import annotations

from dataclasses import replace
from inspect import isabstract
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import anyio
import msgspec
import pytest

from flows.loader import load_text
from reactor.app import Daemon
from reactor.config import load
from reactor.contracts import kinds as contract
from reactor.contracts.event import Event
from reactor.contracts.facts import Fact, RunEnded
from reactor.contracts.kinds import AnyTrigger, TriggerKind
from reactor.contracts.observe import Listener
from reactor.contracts.store import RunFilter
from reactor.contracts.trigger import TriggerContext
from reactor.kinds.registry import TRIGGERS, LazyRegistry
from tests.flows_help import KINDS
from tests.triggers.test_source_names import NAMED

TRIGGER_KINDS = LazyRegistry[AnyTrigger](TRIGGERS)
DECLARED: dict[str, type | UnionType] = {
    "name": str, "summary": str, "example": str, "Options": type, "event_type": str, "identity": bool,
    "event_fields": tuple | NoneType, "connection_kinds": tuple, "path_options": tuple, "shorthand_form": str | NoneType,
    "passive": bool, "by_name": bool, "answers_sender": bool, "takes_messages": bool, "retires": bool, "one_reader": bool,
}  # fmt: skip
GIVEN = {kind: given for kind, given, *_ in NAMED}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    count: int
    """How many events it makes."""


class Counter(TriggerKind[Options]):
    name = "counter"
    summary = "Counts up to a number."
    example = "counter: 3"
    event_type = "counter.counted"
    event_fields = ("of",)
    identity = True

    @classmethod
    def shorthand(cls, text: str) -> dict[str, Any]:
        return {"count": int(text)}

    @classmethod
    def problems(cls, options: Options) -> list[tuple[str, str]]:
        return [] if options.count else [("count", "there is nothing to count")]

    async def listen(self, ctx: TriggerContext) -> None:
        last = (await ctx.cursor()).get("last", 0)
        await ctx.ready()
        for number in range(last + 1, self.options.count + 1):
            event = Event(
                type=self.event_type, source="counter", data=number, key=str(number), fields={"of": self.options.count}
            )
            await ctx.emit(event, cursors=[ctx.at("last", number)])
        await ctx.clock.sleep(float("inf"))


class Ends:
    """Hears how runs end."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.all = anyio.Event()

    def listener(self, kind: type[Fact]) -> Listener | None:
        return self.ended if kind is RunEnded else None

    def ended(self, fact: RunEnded) -> None:
        self.left -= 1
        if not self.left:
            self.all.set()


@pytest.mark.anyio
async def test_a_kind_of_a_test_reaches_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "count.yaml").write_text(
        "flow: count\nwhen: [{counter: 3}]\ndo: []\noutput: ['${{ event.data }}', '${{ event.of }}']\n"
    )
    config = load(
        {
            "flows": [str(flows)],
            "data": str(tmp_path / "data"),
            "listen": "127.0.0.1:0",
            "store": "memory:",
            "log_level": "error",
        },
        {},
    )
    daemon = Daemon(config)
    daemon.kinds.triggers.add("counter", Counter)
    ends = Ends(3)
    daemon.observer.add(ends)
    async with anyio.create_task_group() as group:
        group.start_soon(daemon.run)
        with anyio.fail_after(20):
            await ends.all.wait()
        assert daemon.parts is not None
        (source,) = daemon.parts.sources.active.values()
        found = (source.kind, source.state, source.flows)
        page = await daemon.store.runs(RunFilter(), None, 10)
        daemon.stop()
    assert found == ("counter", "listening", {"count"})
    assert sorted(record.output for record in page.items) == [[1, 3], [2, 3], [3, 3]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("counter: {count: 0}", "there is nothing to count"),
        ("counter: x", "invalid literal"),
        ("counter: {c: 1}", "has no option c"),
    ],
)
def test_the_loader_asks_the_kind(given: str, said: str) -> None:
    triggers = LazyRegistry[AnyTrigger]({})
    triggers.add("counter", Counter)
    (document,) = load_text(f"when: [{{{given}}}]\ndo: []\n", "f.yaml", "/", replace(KINDS, triggers=triggers))
    assert document.plan is None and said in document.problems[0].message, document.problems


@pytest.mark.parametrize("left_out", contract.REQUIRED)
def test_a_kind_that_leaves_something_out_is_refused(left_out: str) -> None:
    said = {"name": "x", "summary": "X.", "example": "x: 1", "Options": Options, "event_type": "x.y"}
    with pytest.raises(TypeError, match=f"has no {left_out}"):
        type("Short", (TriggerKind,), {name: value for name, value in said.items() if name != left_out})


def test_the_options_are_the_type_argument() -> None:
    assert Counter.Options is Options


@pytest.mark.parametrize("name", TRIGGERS)
def test_each_kind_keeps_the_contract(name: str) -> None:
    kind: type[AnyTrigger] = TRIGGER_KINDS.get(name)
    assert issubclass(kind, TriggerKind) and not isabstract(kind) and kind.name == name
    for attribute, type_ in DECLARED.items():
        value = getattr(kind, attribute)
        assert isinstance(value, type_), (attribute, value)
    own = {found for found in vars(kind) if not found.startswith("_") and found not in ("listen", "parameters")}
    assert own <= set(vars(TriggerKind)) | set(DECLARED), "nobody reads what the contract does not name"
    assert set(kind.path_options) <= {field.name for field in msgspec.structs.fields(kind.Options)}
    assert ("connection" in kind.Options.__struct_fields__) == bool(kind.connection_kinds)
    assert kind.takes_messages or not kind.connection_kinds, "a disabled flow would take messages of others"
    assert kind.retires == (kind.retire is not TriggerKind.retire)
    assert kind.source(msgspec.convert(GIVEN[name], kind.Options), "/").partition(":")[0] == name
