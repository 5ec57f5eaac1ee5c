"""`reactor dead-letters`."""

from __future__ import annotations

import argparse
from typing import Any

from reactor.cli.client import Client, add_server, json_or_fail, parse_data, quote, show_json, table


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|show|replay")
    listing = verbs.add_parser("list", help="the newest")
    for one in (listing, parser):
        one.add_argument("--limit", type=int, default=50)
        add_server(one)
    show = verbs.add_parser("show", help="one whole")
    show.add_argument("id", metavar="EVENT")
    add_server(show)
    replay = verbs.add_parser("replay", help="sends one again")
    replay.add_argument("id", metavar="EVENT")
    replay.add_argument("--with", dest="payload", help="JSON, @file or - to send instead of what came")
    add_server(replay)


def run(options: Any) -> int:
    client = Client(options)
    if options.verb == "show":
        show_json(client.get(f"/api/v1/events/{quote(options.id)}"))
        return 0
    if options.verb == "replay":
        raw = parse_data(options.payload)
        body = None if raw is None else {"data": json_or_fail(raw, "with")}
        answer = client.post(f"/api/v1/dead-letters/{quote(options.id)}/replay", body)
        if options.json:
            show_json(answer)
        else:
            print(
                f"{answer['event']}: {', '.join(run['flow'] + ' ' + run['id'] for run in answer['runs']) or 'no run'}"
            )
        return 0
    page = client.get("/api/v1/dead-letters", limit=options.limit)
    if options.json:
        show_json(page)
        return 0
    rows = [
        [item["id"], item["type"], item["source"], item["accepted"][:19], item["invalid"]] for item in page["items"]
    ]
    table(rows, ["EVENT", "TYPE", "SOURCE", "ACCEPTED", "REASON"])
    return 0
