"""Writes the option tables of the pages anew from the code: `make pages`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reactor.kinds.facts import fact_table  # noqa: E402
from reactor.kinds.reference import option_table  # noqa: E402
from reactor.kinds.registry import ACTIONS, CONNECTIONS, TRIGGERS, LazyRegistry  # noqa: E402

KINDS: dict[str, LazyRegistry[Any]] = {
    "triggers": LazyRegistry(TRIGGERS),
    "plugins": LazyRegistry(ACTIONS),
    "connections": LazyRegistry(CONNECTIONS),
}


def registry_of(page: Path) -> LazyRegistry[Any]:
    """The kinds whose tables stand in a page."""
    return KINDS["connections" if page.parent.parent.name == "connections" else page.relative_to(ROOT).parts[0]]


def pages() -> list[Path]:
    return sorted(
        [*ROOT.glob("triggers/docs/*.md"), *ROOT.glob("plugins/docs/*.md"), *ROOT.glob("plugins/connections/docs/*.md")]
    )


def with_tables(text: str, registry: LazyRegistry[Any]) -> str:
    """The text of a page with its tables of options as the code has them."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- options {found[1]} -->\n{option_table(registry.get(found[1]).Options)}\n<!-- end -->"

    return re.sub(r"<!-- options (\S+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> int:
    for page in pages():
        text = page.read_text("utf-8")
        fresh = with_tables(text, registry_of(page))
        if fresh != text:
            page.write_text(fresh, "utf-8")
            print(page.relative_to(ROOT))
    page = ROOT / "reactor/docs/facts.md"
    text = page.read_text("utf-8")
    fresh = re.sub(
        r"<!-- facts -->\n.*<!-- end -->", f"<!-- facts -->\n{fact_table()}\n<!-- end -->", text, flags=re.DOTALL
    )
    if fresh != text:
        page.write_text(fresh, "utf-8")
        print(page.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
