"""`reactor actions`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from reactor.cli.client import show_json, table


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="one action in full")
    parser.add_argument("--json", action="store_true", help="prints JSON")


def run(options: Any) -> int:
    from flows.problems import suggest
    from reactor.contracts.kinds import AnyAction
    from reactor.kinds.reference import action_item, action_items
    from reactor.kinds.registry import ACTIONS, LazyRegistry

    registry = LazyRegistry[AnyAction](ACTIONS)
    if options.name is None:
        items = action_items(registry)
        if options.json:
            show_json({"items": items})
        else:
            table(
                [[item["name"], item["repeat"], item["summary"]] for item in items],
                ["ACTION", "REPEAT", "DOES"],
            )
        return 0
    item = action_item(registry, options.name)
    if item is None:
        print(
            f"reactor: there is no action {options.name}{suggest(options.name, registry.names())}",
            file=sys.stderr,
        )
        return 1
    if options.json:
        show_json(item)
        return 0
    print(f"{item['name']}: {item['summary']}")
    print(f"repeat: {item['repeat']}" + (f"  needs: --allow {item['needs']}" if item["needs"] else ""))
    rows = [
        [o["name"], o["type"], "required" if o["required"] else repr(o["default"]), o["description"]]
        for o in item["options"]
    ]
    if rows:
        table(rows, ["OPTION", "TYPE", "DEFAULT", "MEANING"])
    if item["result"]:
        print(f"result: {', '.join(item['result'])}")
    print(f"example:\n  {item['example'].replace(chr(10), chr(10) + '  ')}")
    return 0
