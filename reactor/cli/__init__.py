"""The command line: one file a command, imported when it is used."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from typing import Any, NoReturn

from flows.problems import suggest
from reactor import __version__
from reactor.cli.client import ClientError, NoDaemon
from reactor.contracts.errors import ConfigError
from reactor.contracts.text import is_text, shown

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


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line that says where the help is."""

    def print_help(self, file: Any = None) -> None:
        """argparse would hide that the output cannot be written."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"reactor: {shown(message)}; see `{self.prog} --help`\n")


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    parser = Parser(prog="reactor", description="When X happens, do Y, then Z, unless A, and only if B.")
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows less than UTF-8
    try:
        try:
            code = _told(arguments)
        except SystemExit as end:  # argparse: help, a version, wrong usage
            code = end.code if isinstance(end.code, int) else 0
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _leave_output()
        return 0
    except OSError as error:
        if error.filename is not None:
            raise
        _leave_output()
        _say(f"the output cannot be written: {error.strerror or error}")
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments:
        from reactor.catalog.bundles import bundled

        if bundled():
            arguments = ["run"]
    chosen = arguments[0] if arguments and arguments[0] in COMMANDS else None
    if arguments and chosen is None and not arguments[0].startswith("-"):
        raise ConfigError(f"unknown command {arguments[0]!r}{suggest(arguments[0], COMMANDS)}; see `reactor --help`")
    parser = build_parser(chosen or "none")
    options: Any = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    return int(options.run(options))


def _told(arguments: list[str]) -> int:
    """What people meant, in one line; the exit code."""
    try:
        return _run(arguments)
    except NoDaemon as error:
        _say(str(error))
        return 3
    except (ClientError, ConfigError) as error:
        _say(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    except UnicodeEncodeError:
        bad = next((one for one in arguments if not is_text(one)), None)
        if bad is None:
            raise
        _say(f"the argument {shown(bad)} is not valid UTF-8")
        return 2
    except KeyboardInterrupt:
        return 130


def _say(message: str) -> None:
    """One line on standard error, if anybody can read it."""
    with contextlib.suppress(OSError, ValueError):
        print(f"reactor: {shown(message)}", file=sys.stderr)


def _leave_output() -> None:
    """What could not be written must not be tried again when the interpreter ends."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
