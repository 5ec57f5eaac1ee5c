"""`reactor events`."""

from __future__ import annotations

import argparse
from typing import Any

from reactor.cli.client import Client, add_server, quote, show_json, table


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|show")
    listing = verbs.add_parser("list", help="the newest events")
    show = verbs.add_parser("show", help="one event whole")
    show.add_argument("id", metavar="EVENT", help="its id, or the beginning of it")
    add_server(show)
    for one in (listing, parser):
        one.add_argument("--type")
        one.add_argument("--limit", type=int, default=50)
        add_server(one)


def run(options: Any) -> int:
    client = Client(options)
    if options.verb == "show":
        show_json(client.get(f"/api/v1/events/{quote(options.id)}"))
        return 0
    page = client.get("/api/v1/events", type=options.type, limit=options.limit)
    if options.json:
        show_json(page)
        return 0
    rows = [
        [item["id"], item["type"], item["source"], item["accepted"][:19], len(item["runs"])] for item in page["items"]
    ]
    table(rows, ["EVENT", "TYPE", "SOURCE", "ACCEPTED", "RUNS"])
    return 0
