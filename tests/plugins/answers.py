"""A server that answers with bytes as they are given, and counts what it was asked."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


def answer(body: bytes = b"ok", *headers: str | bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}".encode(), b"Connection: close"]
    lines += [one if isinstance(one, bytes) else one.encode() for one in headers]
    lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Raw:
    """`answers` by path; every request is kept, head and body."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def count(self, path: str) -> int:
        return sum(one.split(b" ")[1].decode() == path for one in self.requests)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        with connection:
            while True:
                while not _whole(data):
                    try:
                        part = connection.recv(65_536)
                    except OSError:
                        return
                    if not part:
                        return
                    data += part
                self.requests.append(data)
                path = data.split(b" ")[1].decode().partition("?")[0]
                data = b""
                found = self.answers.get(path) or answer(status="404 Not Found")
                connection.sendall(found)
                if b"Connection: close" in found or not found.startswith(b"HTTP"):
                    return


def _whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
        if line.lower().startswith(b"transfer-encoding:"):
            return body.endswith(b"0\r\n\r\n")
    return True
