"""`reactor triggers`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from reactor.cli.client import Client, add_server, show_json, table


def add(parser: argparse.ArgumentParser) -> None:
    add_server(parser)


def run(options: Any) -> int:
    found = Client(options).get("/api/v1/triggers")
    if options.json:
        show_json(found)
        return 0
    rows = []
    for item in found["items"]:
        given = {name: value for name, value in (item["options"] or {}).items() if value is not None}
        reason = item["error"] or item["warning"]
        rows.append([item["kind"], item["state"], ", ".join(item["flows"]), json.dumps(given)[:60], reason])
    table(rows, ["KIND", "STATE", "FLOWS", "OPTIONS", "ERROR"])
    return 0
