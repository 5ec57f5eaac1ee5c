"""`reactor why`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from reactor.cli.client import Client, add_server, quote, show_json


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event", metavar="EVENT", help="the event's id, or the beginning of it")
    parser.add_argument("--all", action="store_true", help="names the flows that do not listen for it, too")
    add_server(parser)


def run(options: Any) -> int:
    found = Client(options).get(f"/api/v1/events/{quote(options.event)}/why")
    if options.json:
        show_json(found)
        return 0
    deaf = [] if options.all else [one["flow"] for one in found["verdicts"] if _deaf(one)]
    for verdict in found["verdicts"]:
        if verdict["flow"] in deaf:
            continue
        run_id = f"  {verdict['run']}" if verdict["run"] else ""
        print(f"{verdict['flow']}: {verdict['verdict']}{run_id}")
        if verdict["expression"]:
            line = f" (line {verdict['line']})" if verdict["line"] else ""
            print(f"  {verdict['clause']}: {verdict['expression']}{line} is {json.dumps(verdict['value'])}")
        for name, value in verdict["names"].items():
            print(f"    {name} = {json.dumps(value, ensure_ascii=False)}")
        if verdict["message"]:
            print(f"  {verdict['message']}")
    if deaf:
        what = "1 flow does" if len(deaf) == 1 else f"{len(deaf)} flows do"
        print(f"{what} not listen for this event (--all names them)")
    return 0


def _deaf(verdict: dict[str, Any]) -> bool:
    """Whether the flow has no trigger that such an event could start."""
    return verdict["verdict"] == "no_match" and not verdict["clause"] and not verdict["message"]
