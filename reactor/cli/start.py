"""`reactor start`."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from reactor.cli.client import Client, add_server, json_or_fail, parse_data, quote, show_json

ENDED = ("succeeded", "failed", "cancelled")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("flow", metavar="FLOW", help="the flow's name")
    parser.add_argument("--input", metavar="JSON", help="its inputs: JSON, @file or - for standard input")
    parser.add_argument("--wait", action="store_true", help="waits for the end and prints the output")
    add_server(parser)


def run(options: Any) -> int:
    value = json_or_fail(parse_data(options.input), "input")
    client = Client(options, timeout=120.0)
    path = f"/api/v1/flows/{quote(options.flow)}/runs" + ("?wait=60s" if options.wait else "")
    answer = client.post(path, {} if value is None else value)
    if not answer["runs"]:
        why = answer.get("detail") or "no run was started; the flow's concurrency is busy"
        print(f"reactor: {why}", file=sys.stderr)
        return 1
    started = answer["runs"][0]
    if not options.wait:
        show_json(answer) if options.json else print(started["id"])
        return 0
    while started.get("status") not in ENDED:
        started = client.get(f"/api/v1/runs/{started['id']}")
        if started["status"] not in ENDED:
            time.sleep(0.2)
    show_json(started.get("output"))
    if started["status"] != "succeeded":
        message = (started.get("error") or {}).get("message", "")
        print(f"reactor: {started['id']} {started['status']}: {message}", file=sys.stderr)
        return 1
    return 0
