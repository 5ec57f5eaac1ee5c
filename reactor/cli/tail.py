"""Following the daemon's stream, across restarts."""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

from reactor.cli.client import Client, ClientError, NoDaemon

RETRY = 2.0


def follow(client: Client, **query: str | None) -> Iterator[dict[str, Any]]:
    """Facts as they happen; goes on behind the last one when the connection breaks. Raises NoDaemon at the first
    attempt only, ClientError when the daemon refuses."""
    given = urllib.parse.urlencode({name: value for name, value in query.items() if value})
    path = "/api/v1/stream" + (f"?{given}" if given else "")
    last: str | None = None
    while True:
        try:
            for id, event, data in _events(client, path, last):
                last = id or last
                if event in ("lost", "restarted"):
                    yield {"fact": event, **json.loads(data)}
                elif data:
                    yield json.loads(data)
        except NoDaemon:
            if last is None:
                raise
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(RETRY)


def _events(client: Client, path: str, last: str | None) -> Iterator[tuple[str | None, str, str]]:
    response = client.open("GET", path, {"Last-Event-ID": last} if last else {})
    if response.status != 200:
        raise ClientError(f"the stream answered {response.status}: {response.read().decode('utf-8', 'replace')[:200]}")
    id: str | None = None
    event, data = "message", ""
    for raw in response:
        line = raw.decode().rstrip("\n")
        name, _, value = line.partition(": ")
        if name == "id":
            id = value
        elif name == "event":
            event = value
        elif name == "data":
            data = value
        elif not line and (data or event != "message"):
            yield id, event, data
            event, data = "message", ""
