"""`reactor check`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from reactor.cli.client import ClientError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="flow files or directories (./flows)")
    parser.add_argument("--format", choices=["text", "json", "sarif"], default="text", help="how problems are printed")
    parser.add_argument("--allow", action="append", default=[], help="what the daemon will allow (shell)")
    parser.add_argument("--connect", action="store_true", help="also opens each connection and tries it")
    parser.add_argument("--secrets", help="as the daemon's --secrets, for --connect")
    parser.add_argument("--env", action="append", default=[], help="as the daemon's --env, for --connect")
    parser.add_argument("--plugins", action="append", default=[], help="as the daemon's --plugins")
    parser.add_argument("--file-root", help="as the daemon's --file-root")


def run(options: Any) -> int:
    import dataclasses

    from flows.check import check_paths
    from reactor.app import make_kinds

    kinds = dataclasses.replace(make_kinds(None), allow=frozenset(options.allow), file_root=options.file_root)
    refused = add_plugins(kinds, options.plugins)
    if refused:
        raise ClientError("\n".join(refused))
    paths = [Path(path) for path in options.paths or ["flows"]]
    if not options.paths and not paths[0].exists():
        raise ClientError("there is no directory ./flows here; name flow files or directories")
    directories = flows_directories()
    try:
        problems, count = check_paths(paths, kinds, directories)
    except ValueError as error:
        raise ClientError(str(error)) from None
    if options.connect:
        problems = sorted([*problems, *try_connections(options, paths, kinds)])
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
            for line in schedules(paths, kinds):
                print(line)
        errors = sum(1 for problem in problems if problem.severity == "error")
        said = f"{count} flow{'' if count == 1 else 's'}, {errors} error{'' if errors == 1 else 's'}"
        print(said, file=sys.stderr)
    return 1 if failed else 0


def add_plugins(kinds: Any, directories: list[str]) -> list[str]:
    """Puts what the manifests of plugins name into the registry, starting none; what is wrong with them."""
    if not directories:
        return []
    import anyio

    from plugins.host.host import Host
    from reactor.kit.clock import SystemClock
    from reactor.observe.log import Observers

    async def refuse(event: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("nothing is started here that could publish")

    host = Host([Path(one) for one in directories], kinds, SystemClock(), Observers(), refuse)
    anyio.run(host.load)
    return host.problems


def flows_directories() -> list[Path]:
    """The directories that a daemon started here would watch."""
    import os

    return [Path(one.strip()) for one in os.environ.get("REACTOR_FLOWS", "").split(",") if one.strip()] or [
        Path("flows")
    ]


def try_connections(options: Any, paths: list[Path], kinds: Any) -> list[Any]:
    """Opens each connection; what is wrong as problems of its file."""
    import os

    import anyio

    from flows.check import load_connection_paths
    from flows.problems import Problem
    from reactor.kit.clock import SystemClock
    from reactor.lending.connections import Connections
    from reactor.observe.log import Observers
    from reactor.secrets.lookup import Secrets

    found = load_connection_paths(paths, kinds, flows_directories())
    secrets = Secrets(Path(options.secrets or os.environ.get("REACTOR_SECRETS") or "/run/secrets"))
    names = options.env or [name for name in os.environ.get("REACTOR_ENV", "").split(",") if name]
    environment = {name: os.environ[name] for name in names if name in os.environ}

    async def work() -> list[Problem]:
        manager = Connections(kinds.connections, secrets.get, environment, SystemClock(), Observers())
        manager.update({one.name: one for one in found if one.settings is not None})
        failures = []
        for one in found:
            error = await manager.check(one.name) if one.settings is not None else None
            if error is not None:
                failures.append(Problem(one.file, one.line, 1, f"{one.name}: {error}"))
            elif one.settings is not None:
                print(f"{one.file}: {one.name} ({one.kind}) answers", file=sys.stderr)
        await manager.close()
        return failures

    return anyio.run(work)


def schedules(paths: list[Path], kinds: Any) -> list[str]:
    """The next three firings of each cron trigger."""
    import time

    from flows.check import load_paths
    from reactor.contracts.event import rfc3339

    lines = []
    for document in load_paths(paths, kinds, flows_directories()):
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
