"""`reactor flows`."""

from __future__ import annotations

import argparse
from typing import Any

from reactor.cli.client import Client, add_server, show_json, table


def add(parser: argparse.ArgumentParser) -> None:
    add_server(parser)


def run(options: Any) -> int:
    found = Client(options).get("/api/v1/flows")
    if options.json:
        show_json(found)
        return 0
    rows = []
    for item in found["items"]:
        triggers = ", ".join(trigger["kind"] for trigger in item["triggers"])
        rows.append([item["name"] or "-", item["state"], triggers, (item["version"] or "")[7:19], item["file"]])
    table(rows, ["FLOW", "STATE", "TRIGGERS", "VERSION", "FILE"])
    for item in found["items"]:
        for problem in item["problems"]:
            print(problem)
    return 0
