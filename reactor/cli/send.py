"""`reactor send`."""

from __future__ import annotations

import argparse
from typing import Any

from reactor.cli.client import Client, json_or_fail, parse_data, quote, show_json
from reactor.cli.server import add_papers


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="the event's type, such as order.created")
    parser.add_argument("--data", dest="payload", metavar="JSON", help="JSON, @file or - for standard input")
    parser.add_argument("--key", help="the event's own identity: the same key starts nothing twice")
    parser.add_argument("--server", help="the daemon's URL or socket (REACTOR_SERVER; else the local one)")
    parser.add_argument("--data-dir", dest="data", help="the data directory of the local daemon (REACTOR_DATA, ./data)")
    parser.add_argument("--json", action="store_true", help="prints JSON")
    add_papers(parser)


def run(options: Any) -> int:
    value = json_or_fail(parse_data(options.payload), "data")
    headers = {"Idempotency-Key": options.key} if options.key else {}
    answer = Client(options).post(f"/api/v1/events?type={quote(options.type)}", value, headers)
    if options.json:
        show_json(answer)
    else:
        print(answer["event"])
        for started in answer["runs"]:
            print(f"  {started['id']}  {started['flow']}")
    return 0
