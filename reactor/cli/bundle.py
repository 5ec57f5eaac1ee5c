"""`reactor bundle`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from reactor.cli.client import ClientError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("flows", nargs="+", metavar="FLOWS", help="flow files or directories")
    parser.add_argument("--output", "-o", required=True, metavar="FILE", help="the executable to write")
    parser.add_argument("--allow", action="append", default=[], help="what the daemon will allow (shell)")
    parser.add_argument("--executable", help="the reactor executable to copy (the running one)")


def run(options: Any) -> int:
    from flows.check import check_paths
    from reactor.app import make_kinds
    from reactor.catalog.bundles import append, executable

    source = Path(options.executable) if options.executable else executable()
    if source is None:
        raise ClientError("from source there is nothing to copy; run `make build` and bundle with dist/reactor")
    paths = [Path(path) for path in options.flows]
    kinds = dataclasses.replace(make_kinds(None), allow=frozenset(options.allow))
    try:
        problems, count = check_paths(paths, kinds)
    except ValueError as error:
        raise ClientError(str(error)) from None
    for problem in problems:
        print(problem, file=sys.stderr)
    if any(problem.severity == "error" for problem in problems):
        return 1
    if not count:
        raise ClientError(f"there is no flow in {', '.join(options.flows)}")
    try:
        append(source, paths, Path(options.output).absolute())
    except OSError as error:
        raise ClientError(f"{options.output}: {error.strerror or error}") from None
    print(f"{options.output}: {count} flow{'' if count == 1 else 's'} compiled in; it runs by itself")
    return 0
