"""`reactor schema`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from reactor.cli.client import ClientError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", "-o", help="a file instead of the terminal")
    parser.add_argument("--plugins", action="append", default=[], help="as the daemon's --plugins: their kinds too")


def run(options: Any) -> int:
    from pathlib import Path

    from flows.language_schema import language_schema
    from reactor.app import make_kinds
    from reactor.cli.check import add_plugins

    kinds = make_kinds(None)
    refused = add_plugins(kinds, options.plugins)
    if refused:
        raise ClientError("\n".join(refused))
    text = json.dumps(language_schema(kinds.actions, kinds.triggers), indent=2) + "\n"
    if options.output:
        Path(options.output).write_text(text, "utf-8")
    else:
        print(text, end="")
    return 0
