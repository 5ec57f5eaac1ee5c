"""`reactor queues`."""

from __future__ import annotations

import argparse
from typing import Any

from reactor.cli.client import Client, add_server, json_or_fail, parse_data, quote, show_json, table
from reactor.cli.server import add_papers


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|push")
    add_server(verbs.add_parser("list", help="queues that have messages"))
    push = verbs.add_parser("push", help="adds a message")
    push.add_argument("name", metavar="QUEUE")
    push.add_argument("--data", dest="payload", help="JSON, @file or -")
    push.add_argument("--key", help="the same key is pushed once")
    push.add_argument("--data-dir", dest="data", help="the data directory of the local daemon (REACTOR_DATA, ./data)")
    push.add_argument("--server", help="the daemon's URL or socket (REACTOR_SERVER; else the local one)")
    push.add_argument("--json", action="store_true", help="prints JSON")
    add_papers(push)
    add_server(parser)


def run(options: Any) -> int:
    client = Client(options)
    if options.verb == "push":
        data = json_or_fail(parse_data(options.payload), "data")
        headers = {"Idempotency-Key": options.key} if options.key else {}
        answer = client.post(f"/api/v1/queues/{quote(options.name)}", data, headers)
        show_json(answer) if options.json else print(answer["message"])
        return 0
    items = client.get("/api/v1/queues")["items"]
    if options.json:
        show_json({"items": items})
    else:
        rows = [[item["name"], item["waiting"], item["active"], (item["oldest"] or "")[:19]] for item in items]
        table(rows, ["QUEUE", "WAITING", "ACTIVE", "OLDEST"])
    return 0
