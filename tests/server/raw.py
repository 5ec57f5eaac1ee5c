"""A client that sends bytes as they are, and reads one answer byte by byte."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

SECONDS = 30.0


@dataclass
class Heard:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class Raw:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def hear(self, bodiless: bool = False) -> Heard | None:
        """The next answer; None when the connection ended without one."""
        first = self.file.readline()
        if not first:
            return None
        assert first.startswith(b"HTTP/1.1 "), first
        headers: dict[str, str] = {}
        while line := self.file.readline().rstrip(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(": ")
            headers[name.lower()] = value
        status = int(first.split()[1])
        length = int(headers.get("content-length", "0"))
        body = b"" if bodiless or status in (100, 204) else self.file.read(length)
        return Heard(status, headers, body)

    def ended(self) -> bool:
        """Whether the server closes the connection, waited for."""
        return self.file.read(1) == b""


def request(
    target: bytes = b"/", *lines: bytes, method: bytes = b"POST", body: bytes | None = b"", host: bytes = b"localhost"
) -> bytes:
    head = [method + b" " + target + b" HTTP/1.1", b"Host: " + host, *lines]
    if body is not None:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", body or b""])


def ask(port: int, *arguments: Any, **options: Any) -> Heard:
    """One request on a connection of its own."""
    with Raw(port) as client:
        client.send(request(*arguments, **options))
        heard = client.hear(bodiless=options.get("method") == b"HEAD")
        assert heard is not None, "the connection ended without an answer"
        return heard
