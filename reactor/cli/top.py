"""`reactor top`: what the daemon does, once a second."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from reactor.cli.client import Client, add_server, show_json

CLEAR = "\x1b[H\x1b[2J"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="seconds between two looks")
    parser.add_argument("--once", action="store_true", help="one look (also when nobody watches)")
    add_server(parser)


def run(options: Any) -> int:
    client = Client(options)
    before: dict[str, Any] | None = None
    moment = time.monotonic()
    while True:
        found = client.get("/api/v1/stats")
        if options.json:
            show_json(found)
            return 0
        watched = sys.stdout.isatty() and not options.once
        passed = time.monotonic() - moment
        moment = time.monotonic()
        print((CLEAR if watched else "") + "\n".join(lines(found, before, passed)), flush=True)
        if not watched:
            return 0
        before = found
        time.sleep(max(options.every, 0.1))


def lines(found: dict[str, Any], before: dict[str, Any] | None, passed: float) -> list[str]:
    """The screen; rates need the look before."""

    def rate(name: str) -> str:
        return "" if before is None else f" ({(found[name] - before[name]) / max(passed, 1e-3):,.0f}/s)"

    store = found["store"]
    shown = [
        f"reactor {found['version']}  {'ready' if found['ready'] else 'NOT READY'}  {found['at'][:19]}Z",
        f"events  {found['events']:,.0f}{rate('events')}   refused {found['refused']:,.0f}{rate('refused')}"
        f"   steps {found['steps']:,.0f}{rate('steps')}",
        "runs    "
        + "  ".join(f"{status} {count:,.0f}" for status, count in sorted(found["runs"].items()))
        + "   now "
        + (" ".join(f"{status} {count}" for status, count in sorted(found["alive"].items()) if count) or "none")
        + f"   in memory {found['in_memory']}",
        f"store   {store['health']}  {store['bytes'] / 2**20:,.1f} MiB  commit p99 {seconds(store['commit_p99'])}"
        f"   accept p99 {seconds(found['accept_p99'])}   loop delay p99 {seconds(found['loop_delay_p99'])}",
    ]
    shown += [f"queue   {q['name']}: {q['waiting']} wait, {q['active']} at work" for q in found["queues"]]
    for kind in ("sources", "connections"):
        shown += [f"{kind[:-1]:<7} {name}: {state}" for name, state in sorted(found[kind].items())]
    if found["flows"]:
        shown += ["", f"{'FLOW':<32} {'SUCCEEDED':>10} {'FAILED':>8} {'CANCELLED':>10} {'P50':>8} {'P99':>8}"]
    for flow in found["flows"]:
        runs = flow["runs"]
        counts = [runs.get(status, 0) for status in ("succeeded", "failed", "cancelled")]
        shown.append(
            f"{flow['flow'][:32]:<32} {counts[0]:>10,.0f} {counts[1]:>8,.0f} {counts[2]:>10,.0f}"
            f" {seconds(flow['p50']):>8} {seconds(flow['p99']):>8}"
        )
    return shown


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:g}ms" if value < 1 else f"{value:g}s"
