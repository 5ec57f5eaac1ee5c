"""`reactor schema`."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", "-o", help="a file instead of the terminal")


def run(options: Any) -> int:
    from pathlib import Path

    from flows.schema import flow_schema
    from reactor.registry import ACTIONS, TRIGGERS, LazyRegistry

    text = json.dumps(flow_schema(LazyRegistry(ACTIONS), LazyRegistry(TRIGGERS)), indent=2) + "\n"
    if options.output:
        Path(options.output).write_text(text, "utf-8")
    else:
        print(text, end="")
    return 0
