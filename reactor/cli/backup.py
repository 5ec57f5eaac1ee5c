"""`reactor backup`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from reactor.cli.client import show_json


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--data", help="the data directory (REACTOR_DATA, ./data)")
    parser.add_argument("--json", action="store_true", help="prints JSON")


def run(options: Any) -> int:
    from reactor.store.sqlite.backup import backup

    directory = Path(options.data or os.environ.get("REACTOR_DATA") or "./data")
    found = backup(directory, Path(options.file))
    if options.json:
        show_json(found)
    else:
        print(f"{options.file}: {found['runs']:,} runs, {found['payloads']:,} payloads, {found['bytes']:,} bytes")
    return 0
