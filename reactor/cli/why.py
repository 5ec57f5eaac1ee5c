"""`reactor why`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from reactor.cli.client import Client, add_server, quote, show_json


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event", metavar="EVENT", help="the event's id")
    add_server(parser)


def run(options: Any) -> int:
    found = Client(options).get(f"/api/v1/events/{quote(options.event)}/why")
    if options.json:
        show_json(found)
        return 0
    for verdict in found["verdicts"]:
        run_id = f"  {verdict['run']}" if verdict["run"] else ""
        print(f"{verdict['flow']}: {verdict['verdict']}{run_id}")
        if verdict["expression"]:
            line = f" (line {verdict['line']})" if verdict["line"] else ""
            print(f"  {verdict['clause']}: {verdict['expression']}{line} is {json.dumps(verdict['value'])}")
        for name, value in verdict["names"].items():
            print(f"    {name} = {json.dumps(value, ensure_ascii=False)}")
        if verdict["message"]:
            print(f"  {verdict['message']}")
    return 0
