"""Answers on the wire, read byte by byte."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.daemon import Daemon

FLOWS = {
    "plain": "flow: plain\nwhen: [{http: GET /plain}]\ndo: [{respond: {text: hello}}]\n",
    "head": "flow: head\nwhen: [{http: HEAD /plain}]\ndo: [{respond: {text: hello}}]\n",
    "none": "flow: none\nwhen: [{http: GET /none}]\ndo: [{respond: {status: 204}}]\n",
    "framed": "flow: framed\nwhen: [{http: GET /framed}]\n"
    "do: [{respond: {text: hello, headers: {content-length: '1', Connection: close, Transfer-Encoding: chunked, X-Own: ä}}}]\n",
    "split": 'flow: split\nwhen: [{http: GET /split}]\ndo: [{respond: {headers: {X-Own: "${{ event.query.v }}"}}}]\n',
    "named": "flow: named\nwhen: [{http: GET /named}]\ndo: [{respond: {headers: {'X: Own': a}}}]\n",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("wire"))
    for name, text in FLOWS.items():
        one.flow(f"{name}.yaml", text)
    with one:
        yield one


class Wire:
    def __init__(self, daemon: Daemon) -> None:
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout=10)
        self.file = self.socket.makefile("rb")

    def ask(self, *lines: str) -> tuple[str, dict[str, str]]:
        self.socket.sendall("\r\n".join([*lines, "Host: localhost", "", ""]).encode())
        status = self.file.readline().decode().rstrip("\r\n")
        headers = {}
        while line := self.file.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} is given twice"
            headers[name.lower()] = value
        return status, headers


@pytest.fixture
def wire(daemon: Daemon) -> Iterator[Wire]:
    one = Wire(daemon)
    yield one
    one.socket.close()


def test_a_connection_is_kept_and_answers_are_framed_by_length(wire: Wire) -> None:
    for _ in range(2):
        status, headers = wire.ask("GET /hooks/plain HTTP/1.1")
        assert status == "HTTP/1.1 200 OK"
        assert headers["content-length"] == "5" and wire.file.read(5) == b"hello"
        assert "connection" not in headers and headers["date"].endswith("GMT")


def test_no_body_follows_head_and_204(wire: Wire) -> None:
    status, headers = wire.ask("HEAD /hooks/plain HTTP/1.1")
    assert (status, headers["content-length"]) == ("HTTP/1.1 200 OK", "5")
    status, headers = wire.ask("GET /hooks/none HTTP/1.1")
    assert status == "HTTP/1.1 204 No Content" and "content-length" not in headers
    assert wire.ask("GET /hooks/plain HTTP/1.1")[0] == "HTTP/1.1 200 OK"


def test_the_connection_ends_when_the_client_says_so(daemon: Daemon) -> None:
    for asked, kept in (
        (["GET /hooks/plain HTTP/1.1", "Connection: close"], "close"),
        (["GET /hooks/plain HTTP/1.0"], "close"),
        (["GET /hooks/plain HTTP/1.0", "Connection: keep-alive"], "keep-alive"),
    ):
        wire = Wire(daemon)
        _, headers = wire.ask(*asked)
        assert headers["connection"] == kept and wire.file.read(5) == b"hello"
        if kept == "close":
            assert wire.file.read() == b""
        else:
            assert wire.ask("GET /hooks/plain HTTP/1.1")[0] == "HTTP/1.1 200 OK"
        wire.socket.close()


def test_a_flow_does_not_frame_the_message(wire: Wire) -> None:
    _, headers = wire.ask("GET /hooks/framed HTTP/1.1")
    assert headers["content-length"] == "5" and wire.file.read(5) == b"hello"
    assert not {"connection", "transfer-encoding"} & headers.keys() and headers["x-own"] == "ä"
    assert wire.ask("GET /hooks/plain HTTP/1.1")[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:%201", "a%00b", "a%0ab", "a%1bb"])
def test_no_value_splits_an_answer(daemon: Daemon, value: str) -> None:
    answer = daemon.request("GET", f"/hooks/split?v={value}&wait")
    assert "x-evil" not in answer.headers and "x-own" not in answer.headers
    assert answer.status == 500 and "no usable value" in answer.json["detail"]


def test_a_header_has_a_token_for_its_name(daemon: Daemon) -> None:
    answer = daemon.request("GET", "/hooks/named?wait")
    assert answer.status == 500 and "no usable value" in answer.json["detail"]
