"""`reactor check`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from reactor.cli.client import ClientError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="flow files or directories")
    parser.add_argument("--format", choices=["text", "json", "sarif"], default="text", help="how problems are printed")
    parser.add_argument("--allow", action="append", default=[], help="what the daemon will allow (shell)")
    parser.add_argument("--file-root", help="as the daemon's --file-root")


def run(options: Any) -> int:
    import dataclasses

    from flows.check import check_paths
    from reactor.app import make_kinds

    kinds = dataclasses.replace(make_kinds(None), allow=frozenset(options.allow), file_root=options.file_root)
    try:
        problems, count = check_paths([Path(path) for path in options.paths], kinds)
    except ValueError as error:
        raise ClientError(str(error)) from None
    failed = any(problem.severity == "error" for problem in problems)
    if options.format == "json":
        fields = ("file", "line", "column", "message", "severity")
        print(json.dumps([{name: getattr(problem, name) for name in fields} for problem in problems], indent=2))
    elif options.format == "sarif":
        print(json.dumps(_sarif(problems), indent=2))
    else:
        for problem in problems:
            print(problem)
        if not failed:
            for line in schedules([Path(path) for path in options.paths], kinds):
                print(line)
        errors = sum(1 for problem in problems if problem.severity == "error")
        said = f"{count} flow{'' if count == 1 else 's'}, {errors} error{'' if errors == 1 else 's'}"
        print(said, file=sys.stderr)
    return 1 if failed else 0


def schedules(paths: list[Path], kinds: Any) -> list[str]:
    """The next three firings of each cron trigger."""
    import time

    from flows.check import load_paths
    from reactor.contracts.event import rfc3339

    lines = []
    for document in load_paths(paths, kinds):
        for trigger in document.plan.triggers if document.plan is not None else ():
            if trigger.kind == "cron":
                from triggers.cron import Schedule

                schedule = Schedule(trigger.options.at, trigger.options.zone)
                moments, moment = [], time.time()
                for _ in range(3):
                    moment = schedule.following(moment)
                    moments.append(rfc3339(moment)[:19] + "Z")
                lines.append(f"{document.file}:{trigger.line}: {trigger.options.at} fires next at {', '.join(moments)}")
    return lines


def _sarif(problems: list[Any]) -> dict[str, Any]:
    """SARIF 2.1.0 (OASIS)."""
    results = [
        {
            "ruleId": "flow",
            "level": problem.severity,
            "message": {"text": problem.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": problem.file},
                        "region": {"startLine": problem.line, "startColumn": problem.column},
                    }
                }
            ],
        }
        for problem in problems
    ]
    driver = {
        "name": "reactor",
        "rules": [{"id": "flow", "shortDescription": {"text": "A flow's load checks"}}],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
