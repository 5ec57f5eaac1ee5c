"""`reactor runs`."""

from __future__ import annotations

import argparse
import datetime
import json
from typing import Any

from reactor.cli.client import Client, add_server, moment, quote, show_json, table
from reactor.cli.tail import follow

MARKS = {
    "succeeded": "✓",
    "failed": "✗",
    "running": "▶",
    "waiting": "…",
    "paused": "‖",
    "skipped": "-",
    "cancelled": "×",
}
WIDEST = 200
"""Characters of a result that are shown on its line."""


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|show|tail|cancel|resume|retry")
    listing = verbs.add_parser("list", help="the newest runs")
    _filters(listing)
    tail = verbs.add_parser("tail", help="runs as they start and end, until interrupted")
    tail.add_argument("--flow")
    tail.add_argument("--failed", action="store_true", help="only those that fail")
    add_server(tail)
    for name, text in (
        ("show", "one run with its steps"),
        ("cancel", "ends a run; its `finally` still runs"),
        ("resume", "lets a paused run go on"),
        ("retry", "goes on from the failed step"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("id", metavar="RUN", help="its id, or the beginning of it")
        add_server(verb)
    _filters(parser)


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flow")
    parser.add_argument("--status")
    parser.add_argument("--since", metavar="TIME", help="those made since: 1h, 2d, or 2026-01-31T12:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="those made before: the same forms")
    parser.add_argument("--limit", type=int, default=50)
    add_server(parser)


def run(options: Any) -> int:
    client = Client(options)
    if options.verb in (None, "list"):
        return _list(client, options)
    if options.verb == "tail":
        return _tail(client, options)
    path = f"/api/v1/runs/{quote(options.id)}"
    if options.verb == "show":
        found = client.get(path)
        if options.json:
            show_json(found)
        else:
            _show(found)
        return 0
    answer = client.post(f"{path}/{options.verb}")
    show_json(answer) if options.json else print(f"{options.id}: {options.verb} asked for")
    return 0


def _list(client: Client, options: Any) -> int:
    page = client.get(
        "/api/v1/runs",
        flow=options.flow,
        status=options.status,
        since=moment(options.since),
        until=moment(options.until),
        limit=options.limit,
    )
    if options.json:
        show_json(page)
        return 0
    rows = [
        [
            item["id"],
            item["flow"],
            item["status"],
            item["created"][:19],
            (item["error"] or {}).get("message", "")[:60],
        ]
        for item in page["items"]
    ]
    table(rows, ["RUN", "FLOW", "STATUS", "CREATED", "ERROR"])
    return 0


def _tail(client: Client, options: Any) -> int:
    for item in follow(client, facts="run.started,run.ended,run.paused", flow=options.flow):
        if options.failed and item.get("status") != "failed":
            continue
        if options.json:
            print(json.dumps(item), flush=True)
        elif item["fact"] == "counts":
            runs = [c for c in item["counts"] if c["fact"] == "run.ended" and options.flow in (None, c["flow"])]
            text = ", ".join(f"{c['flow']} {c['status']} {c['count']}" for c in runs)
            print(f"{item['at'][11:19]}  {item['total']} facts at once: {text}", flush=True)
        elif item["fact"] in ("lost", "restarted"):
            print(f"({item['fact']}{': ' + str(item['lost']) if 'lost' in item else ''})", flush=True)
        else:
            status = item.get("status") or item["fact"].partition(".")[2]
            took = f"  {item['seconds']:.3f} s" if "seconds" in item else ""
            mark, flow = MARKS.get(status, "▶"), item.get("flow") or ""
            print(f"{item['at'][11:19]}  {mark} {item['run']}  {flow}  {status}{took}", flush=True)
    return 0


def _show(found: dict[str, Any]) -> None:
    print(f"{found['id']}  {found['flow']}  {found['status']}")
    print(f"event {found['event']}  created {found['created'][:19]}  ended {(found['ended'] or '-')[:19]}")
    for step in found["steps"]:
        _step(step, 0)
    if found["error"]:
        print(f"error {found['error']['type']}: {found['error']['message']}")
    if found["output"] is not None:
        print("output:")
        show_json(found["output"])
    if found["problem"]:
        print(f"the steps cannot be shown in full: {found['problem']}")


def _step(step: dict[str, Any], depth: int) -> None:
    name = step["id"] or step["name"] or step["path"]
    margin = "  " * depth
    took = f"  {_seconds(step)}" if step["ended"] else ""
    attempts = f"  {step['attempts']} attempts" if step["attempts"] > 1 else ""
    print(f"{margin}{MARKS.get(step['status'], '?')} {step['verb']} {name}  {step['status']}{took}{attempts}")
    if step["error"]:
        print(f"{margin}    {step['error']['type']}: {step['error']['message']}")
    elif step["result"] is not None and not step["children"]:
        print(f"{margin}    {_short(step['result'])}")
    for child in step["children"]:
        _step(child, depth + 1)
    if "turns" in step:
        print(f"{margin}  and {step['turns']['count'] - step['turns']['shown']} more turns")


def _seconds(step: dict[str, Any]) -> str:
    start, end = (datetime.datetime.fromisoformat(step[name]) for name in ("started", "ended"))
    return f"{(end - start).total_seconds():.3f} s"


def _short(result: Any) -> str:
    """A result on one line; what a `log` step wrote stands by itself."""
    if isinstance(result, dict) and set(result) == {"message"} and isinstance(result["message"], str):
        return result["message"]
    text = json.dumps(result, ensure_ascii=False)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]} ({len(text):,} characters; --json shows all)"
