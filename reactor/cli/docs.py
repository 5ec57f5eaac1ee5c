"""`reactor docs`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from reactor.contracts.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = (
    ("triggers", "triggers/docs"),
    ("actions", "plugins/docs"),
    ("connections", "plugins/connections/docs"),
    ("plugins", "plugins/host/docs"),
    ("the language", "flows/docs"),
    ("the daemon", "reactor/docs"),
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a page, or a kind that stands in one")
    parser.add_argument("--json", action="store_true", help="prints JSON")


def pages(root: Path = ROOT) -> dict[str, dict[str, Path]]:
    """Groups, and in each the pages by name."""
    return {group: {p.stem: p for p in sorted((root / folder).glob("*.md"))} for group, folder in FOLDERS}


def run(options: Any) -> int:
    from flows.problems import suggest
    from reactor.cli.client import show_json

    found = pages()
    if options.topic is None:
        if options.json:
            show_json({group: sorted(names) for group, names in found.items()})
            return 0
        for group, names in found.items():
            print(f"{group}: {' '.join(names)}")
        print("\nreactor docs TOPIC prints a page; reactor actions NAME the options of one action", file=sys.stderr)
        return 0
    topic = str(options.topic)
    chosen = [path for names in found.values() for name, path in names.items() if name == topic]
    if not chosen:
        chosen = [
            path for names in found.values() for path in names.values() if f"`{topic}`" in path.read_text("utf-8")
        ]
        chosen = chosen if "." in topic else []
    if not chosen:
        known = [name for names in found.values() for name in names]
        raise ConfigError(f"there is no page {topic}{suggest(topic, known)}; `reactor docs` lists them")
    text = "\n".join(path.read_text("utf-8") for path in chosen)
    if options.json:
        show_json({"topic": topic, "text": text})
    else:
        print(text, end="")
    return 0
