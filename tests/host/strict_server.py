"""A gRPC plugin on a bare HTTP/2 library: as strict about a request's `:authority` as servers in Rust are.

Serves on the socket of `REACTOR_PLUGIN_SOCKET`, one thread a connection; knows Handshake, Act and Attend.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import struct
import sys
import threading
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import plugin_pb2

AUTHORITY = re.compile(rb"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
HASH = "sha256:" + hashlib.sha256((Path(__file__).parent / "plugin.yaml").read_bytes()).hexdigest()


def answer(path: bytes, body: bytes) -> bytes | None:
    """The message for one call; None leaves the stream open."""
    if path.endswith(b"/Handshake"):
        return bytes(plugin_pb2.HandshakeResponse(protocol=1, manifest=HASH).SerializeToString())
    if path.endswith(b"/Act"):
        request = plugin_pb2.ActRequest.FromString(body[5:])
        return bytes(plugin_pb2.ActResponse(result=request.input).SerializeToString())
    return None


def serve(one: socket.socket) -> None:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    connection.initiate_connection()
    one.sendall(connection.data_to_send())
    paths: dict[int, bytes] = {}
    bodies: dict[int, bytes] = {}
    while data := one.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = dict(event.headers)
                authority = headers.get(b":authority", b"")
                if not AUTHORITY.fullmatch(authority):
                    print(f"refused: the authority is {authority!r}", file=sys.stderr, flush=True)
                    connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
                    continue
                paths[event.stream_id] = headers[b":path"]
                bodies[event.stream_id] = b""
            elif isinstance(event, h2.events.DataReceived) and event.stream_id in bodies:
                bodies[event.stream_id] += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded) and event.stream_id in paths:
                message = answer(paths[event.stream_id], bodies[event.stream_id])
                if message is None:
                    continue
                connection.send_headers(event.stream_id, [(b":status", b"200"), (b"content-type", b"application/grpc")])
                connection.send_data(event.stream_id, struct.pack(">BI", 0, len(message)) + message)
                connection.send_headers(event.stream_id, [(b"grpc-status", b"0")], end_stream=True)
        one.sendall(connection.data_to_send())


def main() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.environ["REACTOR_PLUGIN_SOCKET"])
        listener.listen()

        def accept() -> None:
            while True:
                one, _ = listener.accept()
                threading.Thread(target=serve, args=(one,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
