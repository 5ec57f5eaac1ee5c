"""`reactor run`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from reactor.config import add_options, load
from reactor.contracts.errors import ConfigError


def add(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--show-config", action="store_true", help="prints the options and where each comes from")


def run(options: Any) -> int:
    from reactor.catalog.bundles import unpack

    config = load(vars(options))
    if options.show_config:
        for warning in config.warnings:
            print(f"reactor: {warning}", file=sys.stderr)
        for name, (value, origin) in config.origins.items():
            shown = ", ".join(value) if isinstance(value, list) else "" if value is None else value
            print(f"{name:<18} {shown!s:<30} {origin}")
        return 0
    with unpack() as bundle:
        given = config.origins["flows"][1] != "default"
        for directory in config.flows:
            if not Path(directory).is_dir():
                if bundle is not None and not given:
                    continue
                raise ConfigError(
                    f"there is no directory of flows {directory}; make one with `reactor init {directory}`,"
                    " or name another with --flows DIR"
                )
        if bundle is not None and not given and not Path(config.flows[0]).is_dir():
            config = load({**vars(options), "flows": []})
        from reactor.app import run_daemon

        return run_daemon(config, bundle)
