"""How commands talk to a daemon: by the socket in the data directory, or by `--server`."""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import re
import urllib.parse
from pathlib import Path
from typing import Any

from reactor.cli.server import BadServer, add_papers, connect, papers, unreached
from reactor.contracts.text import not_utf8, raw, shown
from reactor.kit.durations import DurationError, parse_duration
from reactor.process.option_values import token
from reactor.process.places import daemons, listens

START = "start one with `reactor run`, or name it with --server URL or --data DIR"

_HEADER = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


class ClientError(Exception):
    """The daemon said no; the message is one line that says what to do."""


class NoDaemon(Exception):
    """No daemon answers."""


def add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", help="the daemon's URL or socket (REACTOR_SERVER; else the local one)")
    parser.add_argument(
        "--data", help="the data directory of the local daemon (REACTOR_DATA; else ./data, else the one daemon here)"
    )
    parser.add_argument("--json", action="store_true", help="prints JSON")
    add_papers(parser)


class Client:
    def __init__(self, options: Any, timeout: float | None = 30.0) -> None:
        self._server = options.server or os.environ.get("REACTOR_SERVER")
        self._named = options.data or os.environ.get("REACTOR_DATA")
        self._data = self._named or "./data"
        self._timeout = timeout
        self._papers = papers(vars(options))
        self._base = ""
        self._token = token(os.environ.get("REACTOR_ADMIN_TOKEN"), "REACTOR_ADMIN_TOKEN")

    def _connection(self) -> http.client.HTTPConnection:
        if self._server is None:
            self._server = self._find()
        try:
            connection, self._base = connect(self._server, self._papers, self._timeout)
        except BadServer as error:
            raise ClientError(str(error)) from None
        return connection

    def _find(self) -> str:
        """The local daemon: in the data directory, else the one daemon of this machine. Raises NoDaemon."""
        usual = Path(self._data).absolute() / "reactor.sock"
        if listens(usual):
            return str(usual)
        running = daemons()
        same = [one for one in running if one.data == shown(str(usual.parent))]
        if self._named is None and not same:
            same = running
        if not same:
            where = usual if self._named is None or usual.exists() else usual.parent
            raise NoDaemon(f"no daemon answers at {where}; {START}")
        if len(same) > 1:
            choices = ", ".join(sorted(one.data for one in same))
            raise NoDaemon(f"several daemons run on this machine ({choices}); name one with --data DIR")
        return same[0].socket or same[0].url

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body. Raises NoDaemon."""
        connection = self._connection()
        sent = {name: _header(name, value) for name, value in (headers or {}).items()}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, self._base + path, body=body, headers=sent)
            response = connection.getresponse()
            raw = response.read()
        except OSError as error:
            raise NoDaemon(f"{unreached(str(self._server), error)}; {START}") from None
        finally:
            connection.close()
        try:
            return response.status, json.loads(raw) if raw else None
        except ValueError:
            raise ClientError(f"the answer of {method} {path} is no JSON (status {response.status})") from None

    def open(self, method: str, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """A response to be read as it comes, without a time limit. Raises NoDaemon."""
        self._timeout, before = None, self._timeout
        connection = self._connection()
        self._timeout = before
        if self._token:
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        try:
            connection.request(method, self._base + path, headers=headers)
            return connection.getresponse()
        except OSError as error:
            raise NoDaemon(f"{unreached(str(self._server), error)}; {START}") from None

    def get(self, path: str, **query: Any) -> Any:
        """Raises ClientError for anything but success."""
        given = {name: value for name, value in query.items() if value is not None}
        if given:
            path += "?" + urllib.parse.urlencode(given)
        return self._checked(*self.call("GET", path))

    def post(self, path: str, value: Any = None, headers: dict[str, str] | None = None) -> Any:
        body = None if value is None else json.dumps(value).encode()
        return self._checked(*self.call("POST", path, body, {"Content-Type": "application/json", **(headers or {})}))

    @staticmethod
    def _checked(status: int, answer: Any) -> Any:
        if status >= 400:
            if isinstance(answer, dict):
                raise ClientError(str(answer.get("detail") or answer.get("title") or f"status {status}"))
            raise ClientError(f"status {status}")
        return answer


def _header(name: str, value: str) -> str:
    """Raises ClientError for what no HTTP header can carry."""
    if _HEADER.fullmatch(value) is None:
        what = "--key" if name == "Idempotency-Key" else name
        raise ClientError(
            f"{what} {shown(value)!r} cannot be sent: a header has letters of Latin-1 only, and no control characters"
        )
    return value


def quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def show_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: list[list[Any]], head: list[str]) -> None:
    """Aligned columns."""
    shown = [head, *[["" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    for row in shown:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def moment(text: str | None) -> str | None:
    """A time in the past as the API takes it: RFC 3339 as it is, or a duration before now such as `1h`. Raises
    ClientError."""
    if text is None:
        return None
    try:
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=parse_duration(text))
        return past.isoformat().replace("+00:00", "Z")
    except DurationError:
        pass
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ClientError(f"{text!r} is not a time: write a duration such as 1h, or 2026-01-31T12:00:00Z") from None
    return text


def parse_data(text: str | None) -> bytes | None:
    """`@file`, `-` or the text itself. Raises ClientError."""
    if text is None:
        return None
    if text == "-":
        import sys

        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as error:
            raise ClientError(f"{text[1:]}: {error.strerror or error}") from None
    return raw(text)


def json_or_fail(data: bytes | None, what: str) -> Any:
    if data is None:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = not_utf8(data) or str(error)
        raise ClientError(
            f"{what} is not valid JSON: {reason}; quote it for your shell, such as --{what} '{{\"id\": 1}}'"
        ) from None
