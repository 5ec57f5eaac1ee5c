"""Tables in the pages are those of the code; every YAML block of the docs passes the check."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from flows.connections import load_connections
from flows.loader import load_text
from reactor.contracts.facts import FACTS
from reactor.kinds.facts import fact_table
from reactor.kinds.reference import option_table
from reactor.kinds.registry import ACTIONS, CONNECTIONS, TRIGGERS, LazyRegistry
from tests.flows_help import KINDS

ROOT = Path(__file__).parent.parent
CONNECTION_PAGES = sorted(ROOT.glob("plugins/connections/docs/*.md"))
CONNECTION_TEXTS = [ROOT / "flows" / "docs" / "connections.md"]
PAGES = sorted([*ROOT.glob("triggers/docs/*.md"), *ROOT.glob("plugins/docs/*.md"), *CONNECTION_PAGES])
ALL = sorted(
    {*PAGES, *ROOT.glob("flows/docs/*.md"), *ROOT.glob("reactor/docs/*.md"), ROOT / "README.md"}.difference(
        CONNECTION_PAGES, CONNECTION_TEXTS
    )
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.parent.name}-{page.stem}")
def test_option_tables_are_those_of_the_code(page: Path) -> None:
    found = re.findall(r"<!-- options (\S+) -->\n(.*?)\n<!-- end -->", page.read_text(), re.DOTALL)
    assert found
    table_of = {"connections": CONNECTIONS, "plugins": ACTIONS, "triggers": TRIGGERS}[page.parent.parent.name]
    registry = LazyRegistry[Any](table_of)
    for name, table in found:
        kind = registry.get(name)
        assert table == option_table(kind.Options), f"{page}: the table of {name} is old"


def test_the_table_of_facts_is_that_of_the_code() -> None:
    text = (ROOT / "reactor" / "docs" / "facts.md").read_text()
    assert f"<!-- facts -->\n{fact_table()}\n<!-- end -->" in text, "make pages"
    assert all(kind.__doc__ and not kind.__doc__.startswith(kind.__name__) for kind in FACTS.values())


@pytest.mark.parametrize("page", [*CONNECTION_PAGES, *CONNECTION_TEXTS], ids=lambda page: page.stem)
def test_connections_of_the_pages_pass_the_check(page: Path, tmp_path: Path) -> None:
    kinds = dataclasses.replace(KINDS, secret_exists=None)
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "one.yaml"
        path.write_text(block)
        for one in load_connections(path, kinds):
            assert not one.problems, one.problems


@pytest.mark.parametrize("page", ALL, ids=lambda page: f"{page.parent.parent.name}-{page.stem}")
def test_yaml_blocks_pass_the_check(page: Path) -> None:
    kinds = dataclasses.replace(KINDS, secret_exists=None, allow=frozenset({"shell", "script"}))
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        for document in load_text(block, str(page), "/", kinds):
            errors = [
                str(p) for p in document.problems if p.severity == "error" and "there is no flow" not in p.message
            ]
            assert not errors, errors
