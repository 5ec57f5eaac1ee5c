"""`reactor restore`."""

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
    from reactor.store.sqlite.backup import restore

    directory = Path(options.data or os.environ.get("REACTOR_DATA") or "./data")
    found = restore(Path(options.file), directory)
    if options.json:
        show_json(found)
    else:
        print(f"{directory}: {found['runs']:,} runs, {found['payloads']:,} payloads")
    return 0
