"""An AMQP client that writes the bytes that it is given, also those that no library would write."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pamqp.frame
from pamqp import commands, header

from tests.services import Amqp


class Raw:
    def __init__(self, server: Amqp) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=10)
        try:
            self._open()
        except BaseException:
            self._socket.close()
            raise

    def _open(self) -> None:
        self._socket.sendall(b"AMQP\0\0\x09\1")
        self._until("Connection.Start")
        self._method(0, commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"))
        self._until("Connection.Tune")
        self._method(0, commands.Connection.TuneOk(2047, 131072, 0))
        self._method(0, commands.Connection.Open("/"))
        self._until("Connection.OpenOk")
        self._method(1, commands.Channel.Open())
        self._until("Channel.OpenOk")
        self._method(1, commands.Confirm.Select())
        self._until("Confirm.SelectOk")

    def _method(self, channel: int, frame: Any) -> None:
        self._socket.sendall(pamqp.frame.marshal(frame, channel))

    def _until(self, name: str) -> None:
        while True:
            head = self._read(7)
            frame = pamqp.frame.unmarshal(head + self._read(struct.unpack(">I", head[3:])[0] + 1))[2]
            if frame.name == name:
                return

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self._socket.recv(size - len(found))
            if not part:
                raise ConnectionError("the broker hung up")
            found += part
        return found

    def publish(self, exchange: bytes, key: bytes, body: bytes, properties: bytes | None = None) -> None:
        """Confirmed. `properties` are the flags and values of the content header as they stand in the frame."""
        name, shorts = commands.Basic.Publish(), b""
        for text in (exchange, key):
            shorts += bytes([len(text)]) + text
        payload = struct.pack(">I", name.index) + b"\0\0" + shorts + b"\0"
        self._socket.sendall(struct.pack(">BHI", 1, 1, len(payload)) + payload + b"\xce")
        head = struct.pack(">HHQ", 60, 0, len(body)) + (
            header.ContentHeader().marshal()[12:] if properties is None else properties
        )
        self._socket.sendall(struct.pack(">BHI", 2, 1, len(head)) + head + b"\xce")
        self._socket.sendall(struct.pack(">BHI", 3, 1, len(body)) + body + b"\xce")
        self._until("Basic.Ack")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def table(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Properties with headers alone: the names, and the values with their type in front, are bytes as they stand."""
    inner = b"".join(bytes([len(name)]) + name + value for name, value in pairs)
    return struct.pack(">H", 1 << 13) + struct.pack(">I", len(inner)) + inner


def text(value: bytes) -> bytes:
    return b"S" + struct.pack(">I", len(value)) + value
