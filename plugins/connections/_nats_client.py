"""nats-py, where what one sender or one user does must not reach the others of the connection: the library ends its
reader, or the connection, for a subject or header that is not UTF-8, for a status line of a message, and for an error
of one publisher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client as Library
from nats.aio.msg import Msg
from nats.errors import Error, MaxPayloadError, UnexpectedEOF

OWN = ("permissions violation", "invalid subject", "invalid publish subject", "invalid subscription")
"""Errors after which the server keeps the connection: they are those of one subscription or one message."""
ACK = b"$JS.ACK."
CONTROL = ("Status", "Description")
PER_HEADER = 4
"""Bytes around a header's name and value: colon, blank, line end."""
FRAME = len("NATS/1.0") + 4

Pairs = list[tuple[bytes, bytes]]


class Headers(dict[str, str]):
    """What the library reads: the last value of each name. `pairs` has all as they came; `status` says that the
    server's own kind of status line stands in front."""

    def __init__(self, pairs: Pairs, status: bool) -> None:
        super().__init__()
        self.pairs, self.status = pairs, status
        for place, (name, value) in enumerate(pairs):
            text = name.decode("utf-8", "replace")
            if text not in CONTROL or (status and place < len(CONTROL)):
                self[text] = value.decode("utf-8", "replace")


@dataclass
class Message(Msg):
    pairs: Pairs = field(default_factory=list)
    """Its headers as they came."""


def parse(block: bytes) -> tuple[Pairs, bool]:
    """The headers of a message, and whether it has a status line (`NATS/1.0 404 No Messages`)."""
    first, _, rest = block.partition(b"\r\n")
    status, _, description = first.partition(b" ")[2].strip().partition(b" ")
    pairs: Pairs = [(b"Status", status), (b"Description", description.strip())] if status else []
    for row in rest.split(b"\r\n"):
        if row:
            name, _, value = row.partition(b":")
            pairs.append((name.strip(), value.strip()))
    return pairs, bool(status)


class Connection(Library):
    """`hear` is told of errors that are not those of the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.hear: set[Callable[[Exception], None]] = set()
        self.denied: str | None = None
        """What the server refused last."""

    async def tell(self, error: Exception) -> None:
        for one in list(self.hear):
            one(error)

    async def _process_headers(self, headers: bytes | None) -> Headers | None:
        return Headers(*parse(headers)) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any
    ) -> Message:  # fmt: skip
        """A status line is the server's own only in an answer without data; a message of a stream, which somebody
        published with one, is a message like any other."""
        given: Any = headers
        if isinstance(headers, Headers) and headers.status and (data or reply.startswith(ACK)):
            given = Headers([], False)
            given.update({name: value for name, value in headers.items() if name not in CONTROL})
        return Message(
            subject=subject.decode("utf-8", "surrogateescape"), reply=reply.decode("utf-8", "surrogateescape"),
            data=data, headers=given or None, _client=self, _sid=sid,
            pairs=headers.pairs if isinstance(headers, Headers) else [],
        )  # fmt: skip

    async def _process_err(self, err_msg: str) -> None:
        if any(one in err_msg for one in OWN):
            self.denied = err_msg.strip("'")
            await self.tell(Error(f"nats: {self.denied}"))
            return
        await super()._process_err(err_msg)

    async def _read_loop(self) -> None:
        """A reader that ended for a reason that the library does not handle is a lost connection, not a silent one."""
        await super()._read_loop()
        if not (self.is_closed or self.is_reconnecting):
            await self._process_op_err(UnexpectedEOF())

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, payload_size: int, headers: dict[str, object] | None
    ) -> None:
        """The server counts headers too, and ends the connection of a message that is too long."""
        size = payload_size
        if headers:
            size += FRAME + sum(len(f"{name}{value}".encode()) + PER_HEADER for name, value in headers.items())
        if size > self.max_payload:
            raise MaxPayloadError
        await super()._send_publish(subject, reply, payload, payload_size, headers)
