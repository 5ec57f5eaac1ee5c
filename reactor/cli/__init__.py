"""The command line: one file a command, imported when it is used."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from reactor import __version__
from reactor.cli.client import ClientError, NoDaemon
from reactor.contracts.errors import ConfigError

COMMANDS: dict[str, str] = {
    "run": "the daemon: loads flows, watches the directory, runs triggers",
    "init": "a flows directory with a commented first flow",
    "check": "all load checks of flows, without starting anything",
    "schema": "JSON Schema of the flow language, for editors",
    "send": "sends an event; prints its id and the runs that it started",
    "start": "starts a flow by hand",
    "runs": "runs: list, show, tail, cancel, resume, retry",
    "events": "events: list, show",
    "why": "why an event started, or did not start, each flow",
    "flows": "loaded flows and their problems",
    "triggers": "triggers and their health",
    "top": "what the daemon does, once a second",
    "dead-letters": "events that could not be taken: list, show, replay",
    "queues": "durable queues: list, push",
    "connections": "connections and their health",
    "plugin": "plugins: list, show, new, test, check",
    "webhooks": "webhook receivers that answered 410, and switching them on again",
    "actions": "the reference of actions",
    "docs": "the pages of triggers, actions, connections and the language",
    "backup": "a consistent copy of the store as one file, while the daemon runs",
    "restore": "puts a backup into a data directory that holds no store",
    "doctor": "a check of the store, disk, clock, permissions and flows",
    "service": "a hardened systemd unit",
    "completion": "completion for bash, zsh and fish",
    "sbom": "what is inside this executable, as CycloneDX",
    "bundle": "a new executable with flows compiled in",
}


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reactor", description="When X happens, do Y, then Z, unless A, and only if B."
    )
    parser.add_argument("--version", action="version", version=f"reactor {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if only is None or only == name:
            module = importlib.import_module(f"reactor.cli.{name.replace('-', '_')}")
            module.add(command)
            command.set_defaults(run=module.run)
    return parser


def main(arguments: list[str]) -> int:
    """The exit code: 0 done, 1 the thing failed, 2 wrong usage, 3 no daemon reached."""
    if not arguments:
        from reactor.bundles import bundled

        if bundled():
            arguments = ["run"]
    chosen = arguments[0] if arguments and arguments[0] in COMMANDS else None
    parser = build_parser(chosen or "none")
    options: Any = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return int(options.run(options))
    except NoDaemon as error:
        print(f"reactor: {error}", file=sys.stderr)
        return 3
    except (ClientError, ConfigError) as error:
        print(f"reactor: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
