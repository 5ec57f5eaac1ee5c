"""What hooks take and what they withstand: multipart, XML, compression, CORS, and the attacks of rule 18."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import os
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, eventually

MIB = 1024 * 1024
FLOWS = {
    "echo": "flow: echo\nwhen: [{http: {path: /echo, upload_limit: 300MiB}}]\ndo: []\noutput: '${{ event.body }}'\n",
    "copy": "flow: copy\nwhen: [{http: {path: /copy, verify: {github: hub}, upload_limit: 4MiB}}]\ndo:\n"
    "  - {id: r, call: file.read, with: {path: '${{ event.files.doc.path }}'}}\n"
    "  - {call: file.copy, with: {path: '${{ event.files.doc.path }}', to: 'kept/${{ event.files.doc.name }}'}}\n"
    "output: {text: '${{ steps.r.content }}', title: '${{ event.body.title }}'}\n",
    "page": "flow: page\nwhen: [{http: {path: /page, cors: ['https://app.example', 'https://b.example']}}]\ndo: []\n",
    "open": "flow: open\nwhen: [{http: {path: /open, cors: '*', upload_limit: '0B'}}]\ndo: []\n",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("hooks"), env={"REACTOR_SECRET_HUB": "hub-secret"})
    for name, text in FLOWS.items():
        one.flow(f"{name}.yaml", text)
    with one:
        yield one


def memory(daemon: Daemon) -> int:
    """Resident bytes of the daemon."""
    text = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def form(*parts: tuple[str, bytes], boundary: str = "b0undary") -> tuple[bytes, dict[str, str]]:
    raw = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + body + b"\r\n" for head, body in parts)
    return raw + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def field(name: str, filename: str | None = None, kind: str | None = None) -> str:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    return head + (f"\r\nContent-Type: {kind}" if kind else "")


def test_fields_and_files(daemon: Daemon) -> None:
    raw, headers = form(
        (field("title"), "Grüße".encode()), (field("tag"), b"a"), (field("tag"), b"b"),
        (field("doc", "../../etc/a.txt", "text/plain"), b"hello"), (field("pic", "p.png", "image/png"), b"\x89PNG"),
    )  # fmt: skip
    answer = daemon.request("POST", "/hooks/echo?wait", raw=raw, headers=headers)
    assert answer.status == 200, answer.raw
    body = answer.json
    assert body["title"] == "Grüße" and body["tag"] == ["a", "b"]
    doc = body["doc"]
    assert doc["name"] == "a.txt" and doc["type"] == "text/plain" and doc["size"] == 5
    assert doc["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert Path(doc["path"]).read_bytes() == b"hello" and Path(doc["path"]).is_relative_to(daemon.data / "payloads")
    assert not list((daemon.data / "payloads/incoming").iterdir())


NAMES = [
    "Łódź.pdf", "Übersicht.pdf", "請求書 三月.pdf", "🎉👩‍👩‍👧.png", "Screenshot 9.41.00\u202fAM.png", "naïve; a=b.txt",
    "a,b'c.txt", "100%25.pdf", "e\u0301.txt", "\u202eevil.txt", "…", "עברית.txt",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_files_and_fields_keep_the_names_that_browsers_send(daemon: Daemon, name: str) -> None:
    raw, headers = form((field("č", name), b"x"), (field(f"field {name}"), b"y"))
    answer = daemon.request("POST", "/hooks/echo?wait", raw=raw, headers=headers)
    assert answer.status == 200, answer.raw
    assert answer.json["č"]["name"] == name and answer.json[f"field {name}"] == "y"
    assert "name_bytes" not in answer.json["č"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (b"; filename=\xc5\x81\xc3\xb3d\xc5\xba.pdf", "Łódź.pdf"),
        (b"; filename*=UTF-8''%e2%82%ac%20rates.pdf", "€ rates.pdf"),
        (b"; filename=\"EURO rates.pdf\"; filename*=utf-8'en'%e2%82%ac%20rates.pdf", "€ rates.pdf"),
        (b"; filename*=iso-8859-1''caf%E9.txt; filename=\"cafe.txt\"", "café.txt"),
        (b"; filename*=UTF-8''%FF.txt; filename=\"plain.txt\"", "plain.txt"),
        (b"; filename*=x-odd''a.txt; filename=\"plain.txt\"", "plain.txt"),
        (b'; FileName = "a.txt"', "a.txt"),
        (b'; filename="say \\"hi\\".txt"', 'say "hi".txt'),
        (b'; filename="C:\\Users\\Ada\\a.txt"', "a.txt"),
        (b'; filename="../../etc/passwd"', "passwd"),
        (b'; filename="a\x1b[31m\x7f.txt"', "a[31m.txt"),
        (b'; filename=".."', "file"),
    ],
)
def test_a_file_has_the_right_name(daemon: Daemon, options: bytes, name: str) -> None:
    raw = b'--b\r\nContent-Disposition: form-data; name="doc"' + options + b"\r\n\r\nx\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = daemon.request("POST", "/hooks/echo?wait", raw=raw, headers=kind)
    assert answer.status == 200, answer.raw
    assert answer.json["doc"]["name"] == name


def test_names_and_fields_that_are_not_utf_8(daemon: Daemon) -> None:
    def send(head: bytes, value: bytes = b"x", before: bytes = b"") -> Any:
        raw = before + b"--b\r\n" + head + b"\r\n\r\n" + value + b"\r\n--b--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        return daemon.request("POST", "/hooks/echo?wait", raw=raw, headers=kind)

    disposition = b"Content-Disposition: form-data; name="
    kept = send(disposition + b'doc; filename="\xdcbersicht.pdf"').json["doc"]
    assert kept["name"] == "\\xdcbersicht.pdf" and base64.b64decode(kept["name_bytes"]) == b"\xdcbersicht.pdf"
    refused = send(disposition + b'"caf\xe9"')
    assert refused.status == 400 and "byte 0xe9 at position 3 is not UTF-8" in refused.json["detail"]
    refused = send(disposition + b"n", b"caf\xe9")
    assert refused.status == 400 and "the field n: byte 0xe9 at position 3 is not UTF-8" in refused.json["detail"]
    declared = b"\r\nContent-Type: text/plain; charset=windows-1252"
    assert send(disposition + b"n" + declared, b"caf\xe9").json == {"n": "café"}
    whole = b"--b\r\n" + disposition + b"_charset_\r\n\r\nwindows-1252\r\n"
    assert send(disposition + b"n", b"caf\xe9", whole).json["n"] == "café"
    long = send(disposition + b'doc; filename="' + "三".encode() * 200 + b'"').json["doc"]
    assert long["name"] == "三" * 85, "at most 255 bytes, and no character is cut"


def test_foreign_clients_upload_with_their_own_encoding_of_names(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "Łódź 三.txt"
    path.write_text("hello")
    url = f"http://127.0.0.1:{daemon.port}/hooks/echo?wait"
    curl = subprocess.run(
        ["curl", "-sS", "-F", f"č=@{path}", "-F", "n=ö", url], capture_output=True, timeout=60, check=True
    )
    assert json.loads(curl.stdout)["č"]["name"] == path.name and json.loads(curl.stdout)["n"] == "ö"
    program = (
        "const form = new FormData(); form.append('č', new File(['hello'], process.argv[2]));"
        "fetch(process.argv[1], {method: 'POST', body: form}).then(a => a.text()).then(t => console.log(t))"
    )
    node = subprocess.run(["node", "-e", program, url, path.name], capture_output=True, timeout=60, check=True)
    assert json.loads(node.stdout)["č"]["name"] == path.name


def test_a_signed_upload_is_read_by_a_step_and_never_changed(daemon: Daemon) -> None:
    import hmac

    raw, headers = form((field("title"), b"t"), (field("doc", "d.txt"), b"words"))
    signature = hmac.new(b"hub-secret", raw, "sha256").hexdigest()
    signed = headers | {"X-Hub-Signature-256": f"sha256={signature}"}
    answer = daemon.request("POST", "/hooks/copy?wait", raw=raw, headers=signed)
    assert answer.json == {"text": "words", "title": "t"}
    assert (daemon.flows / "kept/d.txt").read_text() == "words"
    assert daemon.request("POST", "/hooks/copy", raw=raw + b"\r\n", headers=signed).status == 401
    assert daemon.request("POST", "/hooks/copy", raw=raw, headers=headers).status == 401
    (daemon.folder / "bad.yaml").write_text(
        "flow: bad\nwhen: [{http: POST /x}]\ndo:\n  - {call: file.delete, with: {path: '${{ event.files.doc.path }}'}}\n"
        "  - {call: file.read, with: {path: '${{ event.body.path }}'}}\n"
    )
    checked = daemon.cli("check", str(daemon.folder / "bad.yaml"))
    assert checked.returncode == 1 and checked.stdout.count("begins with an expression") == 2


def test_an_upload_of_200_mib_stays_out_of_memory(daemon: Daemon) -> None:
    size = 200 * MIB
    head = f"--b\r\n{field('doc', 'big.bin')}\r\n\r\n".encode()
    tail = b"\r\n--b--\r\n"
    before = memory(daemon)
    peak = before
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=120)
    connection.putrequest("POST", "/hooks/echo?wait")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(len(head) + size + len(tail)))
    connection.endheaders()
    connection.send(head)
    chunk = os.urandom(MIB)
    for _ in range(size // MIB):
        connection.send(chunk)
        peak = max(peak, memory(daemon))
    connection.send(tail)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    peak = max(peak, memory(daemon))
    assert answer["doc"]["size"] == size
    assert peak - before < 32 * MIB, f"{(peak - before) / MIB:.0f} MiB more"


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (b"no multipart", "multipart/form-data; boundary=b", 400),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut', "multipart/form-data; boundary=b", 400),
        (
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            400,
        ),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=" + "b" * 100, 400),
        (b"<a>", "application/xml", 400),
        (b"<!DOCTYPE a><a/>", "text/xml", 400),
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "application/xml", 400),
        (b"<a>" * 200 + b"</a>" * 200, "application/xml", 400),
        (b'<?xml version="1.0" encoding="utf-99"?><a/>', "application/xml", 400),
    ],
)
def test_what_is_not_what_it_says(daemon: Daemon, raw: bytes, kind: str, status: int) -> None:
    answer = daemon.request("POST", "/hooks/echo", raw=raw, headers={"Content-Type": kind})
    assert answer.status == status, answer.raw
    assert answer.headers["content-type"] == "application/problem+json"
    incoming = daemon.data / "payloads/incoming"
    assert not incoming.exists() or not list(incoming.iterdir())


def test_xml_is_data(daemon: Daemon) -> None:
    raw = b'<?xml version="1.0"?><o:order xmlns:o="urn:o" id="7"><item n="1">a</item><item>b</item><empty/></o:order>'
    answer = daemon.request("POST", "/hooks/echo?wait", raw=raw, headers={"Content-Type": "application/soap+xml"})
    assert answer.json == {"order": {"@id": "7", "item": [{"@n": "1", "#text": "a"}, "b"], "empty": None}}


def test_too_many_parts_files_and_headers(daemon: Daemon) -> None:
    before = memory(daemon)
    many, headers = form(*[(field(f"f{n}"), b"") for n in range(100_000)])
    begun = time.monotonic()
    assert daemon.request("POST", "/hooks/echo", raw=many, headers=headers).status == 400
    assert time.monotonic() - begun < 20
    files, headers = form(*[(field("f", "a"), b"x") for _ in range(101)])
    assert daemon.request("POST", "/hooks/echo", raw=files, headers=headers).status == 400
    heads, headers = form((field("a") + "".join(f"\r\nX-{n}: y" for n in range(20)), b""))
    assert daemon.request("POST", "/hooks/echo", raw=heads, headers=headers).status == 400
    long, headers = form((field("a") + "\r\nX: " + "y" * 10_000, b""))
    assert daemon.request("POST", "/hooks/echo", raw=long, headers=headers).status == 400
    large, headers = form((field("a"), b"x" * (2 * MIB)))
    assert daemon.request("POST", "/hooks/echo", raw=large, headers=headers).status == 400
    assert memory(daemon) - before < 32 * MIB
    assert not list((daemon.data / "payloads/incoming").iterdir())
    assert daemon.request("POST", "/hooks/open", raw=large, headers=headers).status == 415


def test_compressed_bodies_and_bombs(daemon: Daemon) -> None:
    body = json.dumps({"a": 1}).encode()
    kind = {"Content-Type": "application/json"}
    for coding, raw in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("identity", body)):
        answer = daemon.request("POST", "/hooks/echo?wait", raw=raw, headers=kind | {"Content-Encoding": coding})
        assert answer.json == {"a": 1}, coding
    before = memory(daemon)
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(bomb.compress(b"\0" * MIB) for _ in range(900)) + bomb.flush()
    assert len(packed) < MIB
    assert daemon.request("POST", "/hooks/echo", raw=packed, headers={"Content-Encoding": "gzip"}).status == 413
    nested = gzip.compress(packed)
    assert daemon.request("POST", "/hooks/echo", raw=nested, headers={"Content-Encoding": "gzip"}).status in (400, 413)
    for raw, coding, status in (
        (b"no gzip", "gzip", 400),
        (gzip.compress(body)[:-4], "gzip", 400),
        (gzip.compress(body) + gzip.compress(body), "gzip", 400),
        (gzip.compress(body), "gzip, gzip", 415),
        (body, "br", 415),
        (body, "x" * 1000, 415),
    ):
        answer = daemon.request("POST", "/hooks/echo", raw=raw, headers=kind | {"Content-Encoding": coding})
        assert answer.status == status, (coding, answer.raw)
    assert memory(daemon) - before < 32 * MIB
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    sent = {"Content-Type": "application/cloudevents+json", "Content-Encoding": "gzip"}
    assert (
        daemon.request("POST", "/api/v1/events", raw=gzip.compress(json.dumps(event).encode()), headers=sent).status
        == 202
    )


def test_cors(daemon: Daemon) -> None:
    def ask(path: str, origin: str, method: str = "POST") -> Any:
        headers = {"Origin": origin, "Access-Control-Request-Method": method}
        return daemon.request(
            "OPTIONS", path, headers=headers | {"Access-Control-Request-Headers": "content-type, x-a"}
        )

    good = ask("/hooks/page", "https://app.example")
    assert good.status == 204 and good.headers["access-control-allow-origin"] == "https://app.example"
    assert good.headers["access-control-allow-methods"] == "POST" and good.headers["vary"] == "Origin"
    assert good.headers["access-control-allow-headers"] == "content-type, x-a"
    for path, origin, method, status in (
        ("/hooks/page", "https://evil.example", "POST", 403),
        ("/hooks/page", "https://app.example.evil", "POST", 403),
        ("/hooks/page", "null", "POST", 403),
        ("/hooks/page", "https://app.example", "PUT", 405),
        ("/hooks/none", "https://app.example", "POST", 404),
        ("/hooks/echo", "https://app.example", "POST", 403),
        ("/api/v1/runs", "https://app.example", "GET", 405),
    ):
        refused = ask(path, origin, method)
        assert refused.status == status, (path, origin, refused.status)
        assert "access-control-allow-origin" not in refused.headers
    sent = daemon.post("/hooks/page", {}, headers={"Origin": "https://b.example"})
    assert sent.status == 202 and sent.headers["access-control-allow-origin"] == "https://b.example"
    assert daemon.post("/hooks/page", {}, headers={"Origin": "https://evil.example"}).status == 403
    assert daemon.post("/hooks/page", {}).status == 202
    assert (
        daemon.post("/hooks/open", {}, headers={"Origin": "https://any.example"}).headers["access-control-allow-origin"]
        == "*"
    )


def test_a_million_chunks(daemon: Daemon) -> None:
    before = memory(daemon)
    with socket.create_connection(("127.0.0.1", daemon.port)) as client:
        client.sendall(b"POST /hooks/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                client.sendall(b"1\r\nx\r\n" * 1000)
            client.sendall(b"0\r\n\r\n")
        status = client.recv(100)
    assert status.startswith((b"HTTP/1.1 202", b"HTTP/1.1 4"))
    assert memory(daemon) - before < 32 * MIB
    assert daemon.post("/hooks/echo", {}).status == 202


def test_slow_clients_are_closed_and_hurt_nobody(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    before = memory(daemon)
    slow = []
    for number in range(500):
        client = socket.create_connection(("127.0.0.1", daemon.port))
        client.sendall(b"POST /hooks/echo HTTP/1.1\r\nHost: local" if number % 2 else b"")
        slow.append(client)
    assert daemon.post("/hooks/echo", {}).status == 202
    assert memory(daemon) - before < 32 * MIB

    def closed() -> bool:
        for client in slow:
            client.setblocking(False)
            try:
                if client.recv(1) != b"":
                    return False
            except BlockingIOError:
                return False
            except ConnectionError:
                continue
        return True

    eventually(closed, 40, "slow clients stay connected")
    for client in slow:
        client.close()
    assert daemon.post("/hooks/echo", {}).status == 202


def test_check_says_what_is_wrong_with_the_options(tmp_path: Path) -> None:
    flow = tmp_path / "a.yaml"
    for options, message in (
        ("cors: 'http://x/path'", "is no origin"),
        ("cors: [1]", "cors"),
        ("upload_limit: 1 elephant", "is no size"),
        ("upload_limit: 100GiB", "at most 16GiB"),
        ("verify: {stripe: a, slack: b}", "verify names exactly one of"),
    ):
        flow.write_text(f"when: [{{http: {{path: /x, {options}}}}}]\ndo: []\n")
        done = Daemon(tmp_path).cli("check", str(flow))
        assert done.returncode == 1 and message in done.stdout, (options, done.stdout)
