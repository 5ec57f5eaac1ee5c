"""`reactor webhooks`."""

from __future__ import annotations

import argparse
from typing import Any

from reactor.cli.client import Client, add_server, show_json, table


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|enable")
    add_server(verbs.add_parser("list", help="receivers that answered 410"))
    enable = verbs.add_parser("enable", help="sends to a receiver again")
    enable.add_argument("url", metavar="URL")
    add_server(enable)
    add_server(parser)


def run(options: Any) -> int:
    client = Client(options)
    if options.verb == "enable":
        answer = client.post("/api/v1/webhooks/enable", {"url": options.url})
        show_json(answer) if options.json else print(f"{options.url}: sent to again")
        return 0
    items = client.get("/api/v1/webhooks")["items"]
    if options.json:
        show_json({"items": items})
    else:
        table([[item["url"], item["disabled"]] for item in items], ["URL", "SWITCHED OFF"])
    return 0
