"""The trigger and action suites over every kind, and what must stand beside each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.loader import load_text
from reactor.contracts.action import ActionContext
from reactor.contracts.kinds import ActionKind, AnyAction, AnyConnection
from reactor.kinds.registry import ACTIONS, CONNECTIONS, TRIGGERS, LazyRegistry
from reactor.testing import action_suite, connection_suite, trigger_suite
from tests.flows_help import KINDS

ROOT = Path(__file__).parent.parent.parent
ACTION_KINDS = LazyRegistry[AnyAction](ACTIONS)
TRIGGER_KINDS = LazyRegistry[Any](TRIGGERS)
CONNECTION_KINDS = LazyRegistry[AnyConnection](CONNECTIONS)
OPTIONS: dict[str, dict[str, Any]] = {
    "http": {"path": "/x"},
    "files": {"path": "*.txt", "settle": "0s", "poll": "200ms"},
    "cron": {"at": "* * * * * *"},
    "every": {"period": "100ms"},
    "event": {"type": "a.b"},
    "queue": {"name": "mails"},
    "manual": {},
}


@pytest.mark.parametrize("check", action_suite.CHECKS)
@pytest.mark.parametrize("name", ACTIONS)
def test_action(name: str, check: str) -> None:
    action_suite.CHECKS[check](ACTION_KINDS.get(name))


@pytest.mark.parametrize("check", connection_suite.CHECKS)
@pytest.mark.parametrize("name", CONNECTIONS)
def test_connection(name: str, check: str) -> None:
    connection_suite.CHECKS[check](CONNECTION_KINDS.get(name))


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Whole(ActionKind[NoOptions]):
    name = "whole"
    summary = "Does nothing."
    example = "call: whole"
    repeat = "safe"
    Options = NoOptions

    async def run(self, options: NoOptions, context: ActionContext) -> object:
        return None


def without(name: str) -> type[AnyAction]:
    attributes = {key: value for key, value in vars(Whole).items() if key != name and key != "__dict__"}
    made: type[AnyAction] = type("Part", (ActionKind,), attributes)
    return made


LACKING: dict[str, Any] = {
    **{name: without(name) for name in ("name", "summary", "example", "repeat", "Options", "run")},
    "no kind": type("Loose", (), {**vars(Whole), "__dict__": {}}),
    "result_fields": type("Listed", (Whole,), {"result_fields": ["a", 1]}),
    "path_options": type("Pathless", (Whole,), {"path_options": ("path",)}),
    "connection_kinds": type("Unconnected", (Whole,), {"connection_kinds": ("redis",)}),
}


def test_an_action_with_all_of_the_contract() -> None:
    for check in action_suite.CHECKS.values():
        check(Whole)


@pytest.mark.parametrize("lacks", LACKING)
def test_an_action_that_lacks_something(lacks: str) -> None:
    with pytest.raises(AssertionError):
        for check in (action_suite.fulfils_the_contract, action_suite.names_options_that_it_has):
            check(LACKING[lacks])


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger_is_described(name: str) -> None:
    kind = TRIGGER_KINDS.get(name)
    trigger_suite.says_what_it_is(kind)
    (document,) = load_text(
        f"when:\n  - {kind.example.replace(chr(10), chr(10) + '    ')}\ndo: []\n", "f.yaml", "/", KINDS
    )
    assert document.plan is not None, document.problems


ALONE = [name for name in TRIGGERS if not getattr(TRIGGER_KINDS.get(name), "connection_kinds", ())]
"""Kinds that need no server; `tests/brokers` has the others."""


@pytest.mark.anyio
@pytest.mark.parametrize("name", ALONE)
async def test_trigger_becomes_ready_and_stops(name: str, tmp_path: Path, anyio_backend: str) -> None:
    kind = TRIGGER_KINDS.get(name)
    await trigger_suite.becomes_ready_and_stops_promptly(
        kind, msgspec.convert(OPTIONS[name], kind.Options), str(tmp_path)
    )


@pytest.mark.anyio
async def test_files_resume_where_they_were(tmp_path: Path, anyio_backend: str) -> None:
    kind = TRIGGER_KINDS.get("files")

    async def make(number: int) -> None:
        (tmp_path / f"{number}.txt").write_text("x" * number)

    options = msgspec.convert(OPTIONS["files"], kind.Options)
    await trigger_suite.resumes_where_it_was(kind, options, str(tmp_path), make)


@pytest.mark.parametrize("path", sorted({t.partition(":")[0] for t in [*ACTIONS.values(), *TRIGGERS.values()]}))
def test_each_kind_has_its_page(path: str) -> None:
    module = path.removesuffix(".kind").rpartition(".")[2]
    folder = ROOT / ("triggers/docs" if path.startswith("triggers") else "plugins/docs")
    page = folder / f"{module}.md"
    assert page.exists(), page
    kinds = [name for name, target in {**ACTIONS, **TRIGGERS}.items() if target.partition(":")[0] == path]
    text = page.read_text()
    for name in kinds:
        assert f"`{name}`" in text or f"# {name}" in text, (page, name)
