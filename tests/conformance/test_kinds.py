"""The trigger and action suites over every kind, and what must stand beside each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.loader import load_text
from reactor.kinds.registry import ACTIONS, TRIGGERS, LazyRegistry
from reactor.testing import action_suite, trigger_suite
from tests.flows_help import KINDS

ROOT = Path(__file__).parent.parent.parent
ACTION_KINDS = LazyRegistry(ACTIONS)
TRIGGER_KINDS = LazyRegistry(TRIGGERS)
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
