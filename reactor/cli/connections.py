"""`reactor connections`."""

from __future__ import annotations

import argparse
from typing import Any

from reactor.cli.client import Client, add_server, quote, show_json, table


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="opens and tries each")
    add_server(parser)


def run(options: Any) -> int:
    client = Client(options, timeout=120.0)
    items = client.get("/api/v1/connections")["items"]
    failed = False
    if options.check:
        for item in items:
            if item["file"] is not None:
                found = client.post(f"/api/v1/connections/{quote(item['name'])}/check")
                item["state"], item["error"] = "connected" if found["ok"] else "disconnected", found["error"]
                failed = failed or not found["ok"]
    if options.json:
        show_json({"items": items})
    else:
        rows = [[item["name"], item["kind"], item["state"], item["users"], item["error"]] for item in items]
        table(rows, ["CONNECTION", "KIND", "STATE", "USERS", "ERROR"])
    return 1 if failed else 0
