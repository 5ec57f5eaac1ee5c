"""Requests as senders frame them: Expect, half-closed connections, gzip in members, trailers, odd methods and targets,
and what is not HTTP at all."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, eventually
from tests.server.raw import Raw, ask, request

FLOWS = {
    "echo": "flow: echo\nwhen: [{http: {path: '/echo/{name}', limit: 64KiB}}]\ndo: []\n"
    "output: {name: '${{ event.params.name }}', body: '${{ event.body }}', headers: '${{ event.headers }}'}\n",
    "get": "flow: get\nwhen: [{http: GET /get}]\ndo: [{respond: {text: hello}}]\n",
    "signed": "flow: signed\nwhen: [{http: {path: /signed, verify: {bearer: hook}}}]\ndo: []\n",
}
WAIT = b"/hooks/echo/x?wait"
JSON = b"Content-Type: application/json"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("framing"), env={"REACTOR_SECRET_HOOK": "hook-secret"})
    for name, text in FLOWS.items():
        one.flow(f"{name}.yaml", text)
    with one:
        yield one


def head(target: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"POST " + target + b" HTTP/1.1", b"Host: localhost", *lines, b"", b""])


def test_expect_is_answered_before_the_body_comes(daemon: Daemon) -> None:
    with Raw(daemon.port) as client:
        for value in (b"100-continue", b"100-Continue"):
            client.send(head(WAIT, b"Expect: " + value, JSON, b"Content-Length: 2"))
            early = client.hear()
            assert early is not None and early.status == 100
            client.send(b"{}")
            heard = client.hear()
            assert heard is not None and heard.status == 200, "and the connection goes on"


@pytest.mark.parametrize(
    ("target", "lines", "status"),
    [
        (b"/hooks/nowhere", [b"Content-Length: 2"], 404),
        (b"/hooks/get", [b"Content-Length: 2"], 405),
        (WAIT, [b"Content-Length: 70000"], 413),
        (WAIT, [b"Content-Length: 70000", b"Content-Type: multipart/form-data; boundary=b"], 200),
        (b"/api/v1/flows/none/runs?%FF", [b"Content-Length: 2"], 400),
    ],
)
def test_expect_is_not_answered_where_the_body_is_not_wanted(
    daemon: Daemon, target: bytes, lines: list[bytes], status: int
) -> None:
    with Raw(daemon.port) as client:
        client.send(head(target, b"Expect: 100-continue", *lines))
        heard = client.hear()
        assert heard is not None and heard.status == (100 if status == 200 else status)


def test_another_expectation_fails(daemon: Daemon) -> None:
    heard = ask(daemon.port, WAIT, b"Expect: 200-maybe", body=b"{}")
    assert heard.status == 417 and heard.headers["content-type"] == "application/problem+json"


JAVA = """
import java.net.URI;
import java.net.http.*;
public class Client {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).version(HttpClient.Version.HTTP_1_1)
            .expectContinue(true).header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\\"a\\": 1}")).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
"""


def test_javas_client_expects_and_is_answered(daemon: Daemon, tmp_path: Path) -> None:
    java = shutil.which("java")
    assert java is not None
    (tmp_path / "Client.java").write_text(JAVA)
    url = f"http://127.0.0.1:{daemon.port}/hooks/echo/java?wait"
    done = subprocess.run(
        [java, str(tmp_path / "Client.java"), url], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    status, _, body = done.stdout.partition(" ")
    assert status == "200" and json.loads(body)["body"] == {"a": 1}


def test_a_half_closed_client_gets_its_answers(daemon: Daemon) -> None:
    with Raw(daemon.port) as client:
        names = [b"one", b"two", b"three"]
        client.send(b"".join(request(b"/hooks/echo/" + name + b"?wait", JSON, body=b"{}") for name in names))
        client.half_close()
        for name in names:
            heard = client.hear()
            assert heard is not None and heard.json["name"] == name.decode()
        assert client.ended()


def test_a_half_closed_client_that_sent_no_whole_request_is_let_go(daemon: Daemon) -> None:
    with Raw(daemon.port) as client:
        client.send(b"POST /hooks/echo/x HTTP/1.1\r\nHost: loc")
        client.half_close()
        assert client.hear() is None
    with Raw(daemon.port) as client:
        client.half_close()
        assert client.hear() is None
    for cut in (head(WAIT, b"Content-Length: 9") + b"{}", head(WAIT, b"Transfer-Encoding: chunked") + b"9\r\n{}"):
        with Raw(daemon.port) as client:
            client.send(cut)
            client.half_close()
            heard = client.hear()
            assert heard is not None and (heard.status, heard.json["title"]) == (400, "Incomplete body")
            assert client.ended()


def test_a_stream_ends_when_its_client_closes_its_half(daemon: Daemon) -> None:
    with Raw(daemon.port) as client:
        client.send(request(b"/api/v1/stream", method=b"GET", body=None))
        assert client.file.readline().startswith(b"HTTP/1.1 200")
        client.half_close()
        while not client.ended():
            pass
    eventually(lambda: "reactor_stream_clients 0" in daemon.request("GET", "/metrics").raw.decode(), 10, "it stays")


def test_a_large_body_before_the_half_is_closed(daemon: Daemon) -> None:
    body = json.dumps("x" * (8 * 1024 * 1024)).encode()
    with Raw(daemon.port) as client:
        client.send(request(b"/api/v1/queues/large", JSON, body=body))
        client.half_close()
        heard = client.hear()
        assert heard is not None and heard.status == 202 and client.ended()


def test_a_client_that_vanishes_is_not_an_error(daemon: Daemon) -> None:
    place = daemon.log.stat().st_size
    for part in (head(WAIT, b"Content-Length: 9") + b"{}", request(WAIT, JSON, body=b"{}"), b"POST /hooks"):
        client = Raw(daemon.port)
        client.send(part)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.file.close()
        client.socket.close()
    assert ask(daemon.port, WAIT, JSON, body=b"{}").status == 200
    assert ask(daemon.port, b"/api/v1/stream", method=b"HEAD", body=None).status == 200
    daemon.post("/hooks/echo/last?wait")
    assert not [fact for fact in daemon.facts(place) if fact["fact"] in ("request.failed", "library.log")]


def test_a_broken_chunk_is_answered_at_once(daemon: Daemon) -> None:
    place = daemon.log.stat().st_size
    with Raw(daemon.port) as client:
        client.send(head(WAIT, JSON, b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n")
        client.send(b"zz\r\n")
        heard = client.hear()
        assert heard is not None and heard.status == 400 and client.ended()
    assert not [fact for fact in daemon.facts(place) if fact["fact"] == "request.failed"]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_gzip_may_have_several_members(daemon: Daemon, coding: str) -> None:
    whole = json.dumps({"a": "x" * 30_000, "b": list(range(500))}).encode()
    packed = b"".join(gzip.compress(whole[place : place + 100]) for place in range(0, len(whole), 100))
    kind = {"Content-Type": "application/json", "Content-Encoding": coding}
    assert daemon.post("/hooks/echo/x?wait", raw=packed, headers=kind).json["body"] == json.loads(whole)
    for cut in (packed[:-3], packed + b"\x1f\x8b", packed + b"more", packed + b"\0"):
        assert daemon.post("/hooks/echo/x", raw=cut, headers=kind).status == 400
    bomb = gzip.compress(b"\0" * 40_000) * 3
    assert daemon.post("/hooks/echo/x", raw=bomb, headers=kind).status == 413
    many = gzip.compress(b"") * 10_001
    assert daemon.post("/api/v1/queues/q", raw=many, headers=kind).status == 400


def test_deflate_comes_with_and_without_its_header(daemon: Daemon) -> None:
    plain = zlib.compressobj(wbits=-15)
    bare = plain.compress(b'{"a": 1}') + plain.flush()
    kind = {"Content-Type": "application/json", "Content-Encoding": "deflate"}
    for packed in (zlib.compress(b'{"a": 1}'), bare):
        assert daemon.post("/hooks/echo/x?wait", raw=packed, headers=kind).json["body"] == {"a": 1}
    assert daemon.post("/hooks/echo/x", raw=bare + bare, headers=kind).status == 400


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_trailers_never_reach_the_next_request(daemon: Daemon, step: int) -> None:
    trailers = b"X-One: 1\r\nX-Evil: 2\r\nX: 0\r\n"
    data = head(WAIT, JSON, b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
    with Raw(daemon.port) as client:
        for place in range(0, len(data), step):
            client.send(data[place : place + step])
        heard = client.hear()
        assert heard is not None and heard.json["body"] == {} and "x-evil" not in heard.json["headers"]
        assert heard.headers["connection"] == "close" and client.ended()
    with Raw(daemon.port) as client:
        client.send(data + request(WAIT, JSON, body=b"{}"))
        first, second = client.hear(), client.hear()
        assert first is not None and second is None, "nothing is read behind them"


def test_a_connection_with_plain_chunks_is_kept(daemon: Daemon) -> None:
    data = head(WAIT, JSON, b"Transfer-Encoding: chunked") + b"2;x=y\r\n{}\r\n0\r\n\r\n"
    with Raw(daemon.port) as client:
        for step in (1, 5, 10_000):
            for place in range(0, len(data), step):
                client.send(data[place : place + step])
            heard = client.hear()
            assert heard is not None and heard.json["body"] == {} and "connection" not in heard.headers


def test_head_and_options(daemon: Daemon) -> None:
    heard = ask(daemon.port, b"/api/v1/runs", method=b"HEAD", body=None)
    assert heard.status == 200 and int(heard.headers["content-length"]) > 2
    heard = ask(daemon.port, b"/hooks/get", method=b"HEAD", body=None)
    assert heard.status == 405 and heard.headers["allow"] == "GET, OPTIONS"
    heard = ask(daemon.port, b"/hooks/get", method=b"OPTIONS", body=None)
    assert heard.status == 204 and heard.headers["allow"] == "GET, OPTIONS"
    assert ask(daemon.port, b"/hooks/none", method=b"OPTIONS", body=None).status == 404
    heard = ask(daemon.port, b"/api/v1/runs", method=b"DELETE", body=None)
    assert heard.status == 405 and heard.headers["allow"] == "GET, HEAD"


def test_trailing_slashes_and_empty_bodies(daemon: Daemon) -> None:
    assert ask(daemon.port, b"/hooks/echo/x/?wait", body=b"").json["body"] is None
    assert ask(daemon.port, WAIT, JSON, body=b"").json["body"] is None
    assert ask(daemon.port, WAIT, b"Content-Type: multipart/form-data; boundary=b", body=b"").json["body"] is None
    assert ask(daemon.port, b"/hooks//echo/x", body=b"").status == 404


NOT_HTTP = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "words": b"hello there\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": head(WAIT, b"Content-Length: 2", b"Content-Length: 2") + b"{}",
    "two lengths in one": head(WAIT, b"Content-Length: 2, 2") + b"{}",
    "negative length": head(WAIT, b"Content-Length: -2") + b"{}",
    "both": head(WAIT, b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "odd coding": head(WAIT, b"Transfer-Encoding: gzip") + b"{}",
    "bare line feeds": b"GET /hooks/get HTTP/1.1\nHost: localhost\n\n",
    "folded": head(WAIT, b"X: a\r\n b", b"Content-Length: 2") + b"{}",
    "a blank before the colon": head(WAIT, b"X : a", b"Content-Length: 2") + b"{}",
    "raw bytes in the target": head(b"/hooks/gr\xc3\xb6\xc3\x9fe"),
    "odd method": b"FETCH / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "odd version": b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
}


def test_what_is_not_http_is_a_problem_and_one_line(daemon: Daemon) -> None:
    for name, data in NOT_HTTP.items():
        with Raw(daemon.port) as client:
            client.send(data)
            heard = client.hear()
            assert heard is not None and heard.status == 400, (name, heard)
            assert heard.headers["content-type"] == "application/problem+json", name
            assert heard.headers["x-content-type-options"] == "nosniff" and heard.json["detail"], name
            assert client.ended(), name
    for _ in range(50):
        ask(daemon.port, b"/hooks/get", b"X: \x00")
    assert daemon.get("/healthz")["status"] == "ok"
    daemon.wait_log("request.malformed")
    lines = [fact for fact in daemon.facts() if fact["fact"] == "request.malformed"]
    assert len(lines) == 1 and lines[0]["level"] == "warning" and lines[0]["address"] == "127.0.0.1"
    assert b"Traceback" not in daemon.log.read_bytes()


def test_long_lines_and_many_headers(daemon: Daemon) -> None:
    for lines in ([b"X: " + b"a" * 9000], [b"X" * 9000 + b": a"], [b"X%d: a" % number for number in range(110)]):
        heard = ask(daemon.port, b"/hooks/get", *lines, method=b"GET", body=None)
        assert heard.status == 431 and heard.headers["content-type"] == "application/problem+json"
    assert ask(daemon.port, b"/hooks/" + b"a" * 9000, method=b"GET", body=None).status == 431


def test_error_answers_forbid_sniffing(daemon: Daemon) -> None:
    for target, method in (
        (b"/hooks/none", b"POST"), (b"/hooks/get", b"POST"), (b"/hooks/signed", b"POST"), (b"/api/v1/none", b"GET"),
        (b"/api/v1/runs/none", b"GET"), (b"/hooks/echo/x?wait=x", b"POST"), (b"/none", b"GET"),
    ):  # fmt: skip
        heard = ask(daemon.port, target, method=method, body=b"")
        assert heard.status >= 400 and heard.headers["x-content-type-options"] == "nosniff", target
    assert 'reactor_auth_failures_total{reason="wrong_signature"} 1.0' in daemon.request("GET", "/metrics").raw.decode()
