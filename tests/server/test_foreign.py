"""Each place of a request with each kind of foreign byte: never 5xx, never a connection without an answer, nothing
changed in silence, and the next request is served."""

from __future__ import annotations

import itertools
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.daemon import Daemon
from tests.server.raw import Heard, ask

FLOWS = {
    "echo": "flow: echo\nwhen: [{http: 'POST /echo/{name}'}]\ndo: []\noutput: ${{ event }}\n",
    "typed": "flow: typed\nwhen: [{event: t}]\ndo: []\noutput: ${{ event }}\n",
    "words": "flow: words\nwhen: [{manual: {inputs: {name: string}}}]\ndo: []\noutput: ${{ event.data }}\n",
    "path": "flow: path\nwhen: [{http: 'POST /größe/ein%20wort'}]\ndo: []\noutput: ${{ event.path }}\n",
}
BYTES = {
    "0x80": b"\x80", "0xe9": b"caf\xe9", "0xff": b"\xff", "utf-8": "Łódź 你好 🎉".encode(), "cut": "é".encode()[:1],
    "surrogate": b"\xed\xa0\x80", "overlong": b"\xc0\xaf", "bom": b"\xef\xbb\xbfa", "all": bytes(range(0x80, 0x100)),
    "nul": b"a\x00b", "control": b"a\x01b", "tab": b"a\tb", "delete": b"a\x7fb", "quote": b'a"b', "semicolon": b"a;b",
    "percent": b"100%", "escape": b"a%2Fb", "bad escape": b"%zz", "%ff": b"%FF", "%e9": b"caf%E9", "%00": b"a%00b",
    "%ed%a0%80": b"%ED%A0%80", "superscript": "²".encode(), "%b2": b"%C2%B2", "digits": b"9" * 5000, "long": b"x" * 9000,
    "empty": b"", "comma": b",,,", "brace": b"{}[]", "unicode escape": b'"\\ud83d"', "half pair": b'{"a": "\\udc00"}',
}  # fmt: skip
HEADERS = (
    b"User-Agent", b"Cookie", b"Idempotency-Key", b"ce-id", b"ce-subject", b"ce-time", b"traceparent", b"tracestate",
    b"Content-Type", b"Content-Encoding", b"Content-Disposition", b"Authorization", b"Origin", b"Expect", b"Accept",
    b"Sec-Fetch-Site", b"X-Forwarded-For", b"Forwarded", b"Last-Event-ID", b"Upgrade", b"Connection", b"X-Odd", b"Range",
    b"Access-Control-Request-Method", b"If-None-Match", b"TE", b"Trailer", b"Transfer-Encoding", b"Content-Length",
)  # fmt: skip
CLOUD = (b"ce-specversion: 1.0", b"ce-id: 1", b"ce-source: /s", b"ce-type: t")
TYPES = (
    b"application/json", b"application/json; charset=iso-8859-1", b"application/x-www-form-urlencoded", b"text/plain",
    b"application/x-www-form-urlencoded; charset=windows-1252", b"text/plain; charset=gbk", b"text/plain; charset=utf-16",
    b"text/plain; charset=x-odd", b"text/plain; charset=idna", b"application/xml", b"text/xml; charset=gbk",
    b"application/cloudevents+json", b"application/cloudevents-batch+json", b"application/x-ndjson", b"multipart/form-data",
    b"multipart/form-data; boundary=b", b"application/octet-stream", b"", b"APPLICATION/VND.X+JSON;CHARSET=UTF8",
)  # fmt: skip
TARGETS = (
    b"/hooks/echo/x?wait", b"/api/v1/events?type=t&wait", b"/api/v1/queues/q", b"/api/v1/flows/words/runs?wait",
    b"/api/v1/webhooks/enable", b"/api/v1/dead-letters/evt_1/replay", b"/api/v1/runs/run_1/cancel",
)  # fmt: skip
PATHS = (
    b"/hooks/echo/%s", b"/hooks/%s", b"/%s", b"%s", b"/api/v1/runs/%s", b"/api/v1/events/%s", b"/api/v1/flows/%s",
    b"/api/v1/queues/%s", b"/api/v1/actions/%s", b"/api/v1/runs?limit=%s", b"/api/v1/runs?cursor=%s",
    b"/api/v1/runs?status=%s", b"/api/v1/runs?since=%s", b"/api/v1/runs?flow=%s", b"/api/v1/runs?%s=1",
    b"/api/v1/events?type=%s", b"/api/v1/stream?facts=%s", b"/hooks/echo/x?wait=%s", b"/hooks/echo/x?%s",
)  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("foreign"))
    for name, text in FLOWS.items():
        one.flow(f"{name}.yaml", text)
    with one:
        yield one


@pytest.fixture(autouse=True)
def lives(daemon: Daemon) -> Iterator[None]:
    place = daemon.log.stat().st_size
    yield
    assert daemon.post("/hooks/echo/next?wait", {"a": 1}).json["body"] == {"a": 1}
    wrong = [
        fact for fact in daemon.facts(place) if fact["fact"] in ("request.failed", "library.log", "observer.failed")
    ]
    assert not wrong, wrong
    assert b"Traceback" not in daemon.log.read_bytes()[place:]


def fine(heard: Heard, sent: Any) -> Heard:
    assert heard.status < 500, (sent, heard)
    if heard.status >= 400:
        assert heard.headers["content-type"] == "application/problem+json", (sent, heard)
        assert heard.headers["x-content-type-options"] == "nosniff", (sent, heard)
        assert heard.json["status"] == heard.status and heard.json["title"], (sent, heard)
    return heard


@pytest.mark.parametrize("header", HEADERS, ids=bytes.decode)
def test_headers(daemon: Daemon, header: bytes) -> None:
    for value in BYTES.values():
        line = header + b": " + value
        fine(ask(daemon.port, b"/hooks/echo/x", line, body=b"{}"), line)
        fine(ask(daemon.port, b"/api/v1/events?type=t", line, body=b"{}"), line)
        fine(ask(daemon.port, b"/api/v1/events", *CLOUD, line, body=b"{}"), line)
        fine(ask(daemon.port, b"/api/v1/runs", line, method=b"GET", body=None), line)


@pytest.mark.parametrize("name", BYTES)
def test_header_names_hosts_and_methods(daemon: Daemon, name: str) -> None:
    value = BYTES[name]
    fine(ask(daemon.port, b"/hooks/echo/x", b"X" + value + b": a"), value)
    fine(ask(daemon.port, b"/api/v1/runs", method=b"GET", body=None, host=value), value)
    fine(ask(daemon.port, b"/api/v1/runs", method=b"GET" + value, body=None), value)


@pytest.mark.parametrize("path", PATHS, ids=bytes.decode)
def test_targets(daemon: Daemon, path: bytes) -> None:
    for value in BYTES.values():
        for method in (b"GET", b"POST"):
            if path.startswith(b"/api/v1/stream") and method == b"GET" and value in (b"", b",,,"):
                continue  # a stream has no end
            fine(ask(daemon.port, path % value, method=method, body=b"" if method == b"POST" else None), path % value)


@pytest.mark.parametrize("target", TARGETS, ids=bytes.decode)
def test_bodies(daemon: Daemon, target: bytes) -> None:
    for kind, value in itertools.product(TYPES, BYTES.values()):
        for body in (value, b'{"a": "' + value + b'"}', b"n=" + value, b"<a>" + value + b"</a>"):
            fine(ask(daemon.port, target, b"Content-Type: " + kind, body=body), (kind, body))


@pytest.mark.parametrize("name", BYTES)
def test_parts_of_multipart(daemon: Daemon, name: str) -> None:
    value = BYTES[name]
    for head in (
        b'form-data; name="' + value + b'"', b'form-data; name="a"; filename="' + value + b'"',
        b'form-data; name="a"; filename*=' + value, b"form-data; name=" + value, value,
    ):  # fmt: skip
        body = b"--b\r\nContent-Disposition: " + head + b"\r\nContent-Type: " + value + b"\r\n\r\n" + value
        body += b"\r\n--b--\r\n"
        fine(ask(daemon.port, b"/hooks/echo/x", b"Content-Type: multipart/form-data; boundary=b", body=body), head)


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@SETTINGS
@given(value=st.binary(max_size=40).filter(lambda value: not any(byte < 0x20 or byte == 0x7F for byte in value)))
def test_a_header_is_latin_1(daemon: Daemon, value: bytes) -> None:
    heard = ask(daemon.port, b"/hooks/echo/x?wait", b"X-Any: " + value, body=b"{}")
    assert heard.json["headers"]["x-any"] == value.strip(b" ").decode("latin-1")


@SETTINGS
@given(name=st.text(min_size=1, max_size=20).filter(lambda text: text not in (".", "..")), value=st.text(max_size=20))
def test_paths_and_queries_arrive_as_they_were_sent(daemon: Daemon, name: str, value: str) -> None:
    sent = urllib.parse.quote(name, safe=""), urllib.parse.urlencode([("v", value), ("v", "last")])
    heard = ask(daemon.port, f"/hooks/echo/{sent[0]}?wait&{sent[1]}".encode(), body=b"{}")
    assert heard.status == 200, heard
    assert heard.json["params"] == {"name": name}
    assert heard.json["query"] == {"v": "last"} and heard.json["query_all"] == {"v": [value, "last"]}


@SETTINGS
@given(raw=st.binary(max_size=60))
def test_undeclared_bytes_are_kept_or_refused_with_their_place(daemon: Daemon, raw: bytes) -> None:
    heard = ask(daemon.port, b"/hooks/echo/x?wait", b"Content-Type: text/plain", body=raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        assert heard.status == 400
        assert f"byte 0x{raw[error.start]:02x} at position {error.start} is not UTF-8" in heard.json["detail"]
    else:
        assert (heard.json["body"] or "") == text.removeprefix("\ufeff")


@SETTINGS
@given(fields=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12), max_size=5))
def test_forms_and_json_arrive_as_they_were_sent(daemon: Daemon, fields: dict[str, str]) -> None:
    form = urllib.parse.urlencode(fields).encode()
    for mark in (b"", b"\xef\xbb\xbf"):
        kind = b"Content-Type: application/x-www-form-urlencoded; charset=utf-8"
        heard = ask(daemon.port, b"/hooks/echo/x?wait", kind, body=mark + form)
        assert (heard.json["body"] or {}) == fields
        for ascii_only in (True, False):
            body = mark + json.dumps(fields, ensure_ascii=ascii_only).encode()
            heard = ask(daemon.port, b"/hooks/echo/x?wait", b"Content-Type: application/json", body=body)
            assert heard.json["body"] == fields
            heard = ask(daemon.port, b"/api/v1/events?type=t&wait", b"Content-Type: application/json", body=body)
            assert heard.json["runs"][0]["output"]["data"] == fields


def form_of(data: bytes, kind: bytes = b"application/x-www-form-urlencoded") -> tuple[bytes, bytes]:
    return b"Content-Type: " + kind, data


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        (*form_of(b"n=caf%E9", b"application/x-www-form-urlencoded; charset=windows-1252"), {"n": "café"}),
        (*form_of(b"n=caf\xe9", b"application/x-www-form-urlencoded; charset=windows-1252"), {"n": "café"}),
        (*form_of(b"payer=Andr%E9&charset=windows-1252"), {"payer": "André", "charset": "windows-1252"}),
        (*form_of(b"a=%80&_charset_=windows-1252"), {"a": "€", "_charset_": "windows-1252"}),
        (*form_of("n=café&charset=beautiful".encode()), {"n": "café", "charset": "beautiful"}),
        (*form_of(b"\xef\xbb\xbfn=1&n=2&m"), {"n": ["1", "2"], "m": ""}),
        (*form_of("你好".encode("gbk"), b"text/plain; charset=gbk"), "你好"),
        (*form_of("né".encode("utf-16"), b'text/plain; charset="utf-16"'), "né"),
        (*form_of(b'{"a": "\xe9"}', b"application/json; charset=iso-8859-1"), {"a": "é"}),
        (*form_of(b'\xef\xbb\xbf{"a": 1}', b"APPLICATION/JSON;charset=utf8"), {"a": 1}),
        (*form_of(b'\xef\xbb\xbf{"a": 1}', b"application/vnd.x+json"), {"a": 1}),
        (*form_of("<a>你</a>".encode("gbk"), b"text/xml; charset=gbk"), {"a": "你"}),
        (*form_of('<?xml version="1.0" encoding="gbk"?><a>你</a>'.encode("gbk"), b"text/xml"), {"a": "你"}),
        (*form_of(b"\xef\xbb\xbfa,b", b"text/csv"), "a,b"),
        (*form_of(b'\xef\xbb\xbf{"a": 1}', b""), {"a": 1}),
    ],
)
def test_what_is_declared_is_believed(daemon: Daemon, kind: bytes, body: bytes, found: Any) -> None:
    heard = ask(daemon.port, b"/hooks/echo/x?wait", *([kind] if kind != b"Content-Type: " else []), body=body)
    assert heard.status == 200, heard
    assert heard.json["body"] == found


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (b"application/x-www-form-urlencoded", b"n=caf%E9", "byte 0xe9 at position 5 is not UTF-8"),
        (b"application/x-www-form-urlencoded", b"n=caf\xe9", "byte 0xe9 at position 5 is not UTF-8"),
        (b"application/x-www-form-urlencoded", b"a=%20&n=caf%E9", "byte 0xe9 at position 11 is not UTF-8"),
        (b"application/json", b'{"a":"caf\xe9"}', "byte 0xe9 at position 9 is not UTF-8"),
        (b"application/json", b'{"a": "\\ud83d"}', "half of a surrogate pair"),
        (b"application/json", b"[" * 300 + b"]" * 300, "nested deeper than 256 levels"),
        (b"text/plain; charset=windows-1252", b"a\x81", "byte 0x81 at position 1 is not windows-1252"),
        (b"text/plain; charset=idna", b"a", "the charset 'idna' is not known"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(daemon: Daemon, kind: bytes, body: bytes, said: str) -> None:
    heard = ask(daemon.port, b"/hooks/echo/x", b"Content-Type: " + kind, body=body)
    assert heard.status == 400 and said in heard.json["detail"], heard


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (b"/api/v1/events?type=t&wait", b'{"n": 1}'),
        (b"/api/v1/queues/boms", b'{"n": 1}'),
        (b"/api/v1/flows/words/runs?wait", b'{"name": "Ada"}'),
    ],
)
def test_every_api_body_may_have_a_mark_and_a_charset(daemon: Daemon, target: bytes, body: bytes) -> None:
    heard = ask(daemon.port, target, b"Content-Type: application/json", body=b"\xef\xbb\xbf" + body)
    assert heard.status in (200, 202), heard
    wide = body.decode().encode("utf-16")
    heard = ask(daemon.port, target, b"Content-Type: application/json; charset=utf-16", body=wide)
    assert heard.status in (200, 202), heard
    heard = ask(daemon.port, target, b"Content-Type: application/json", body=body[:-1] + b'"\xe9"}')
    assert heard.status == 400 and "byte 0xe9 at position" in heard.json["detail"]


def test_cloudevents_headers_are_percent_decoded(daemon: Daemon) -> None:
    sent = [*CLOUD[:1], b"ce-id: 7", b"ce-source: /s", b"ce-type: t", b"ce-subject: Gr%C3%BC%C3%9Fe%20an%20%22dich%22"]
    heard = ask(daemon.port, b"/api/v1/events?wait", *sent, b'ce-ext: "a \\"b\\""', body=b"")
    event = heard.json["runs"][0]["output"]
    assert event["subject"] == 'Grüße an "dich"' and event["extensions"]["ext"] == 'a "b"'
    assert event["key"] == "7", "the event's own id, without its source"
    for value, said in ((b"caf\xe9", "is not ASCII"), (b"caf%E9", "byte 0xe9 at position 3 is not UTF-8")):
        heard = ask(daemon.port, b"/api/v1/events", *CLOUD, b"ce-subject: " + value, body=b"")
        assert heard.status == 400 and said in heard.json["detail"], heard


def test_a_path_of_a_flow_may_have_letters_and_escapes(daemon: Daemon) -> None:
    for path in ("/größe/ein wort", "/größe/ein wort/"):
        heard = ask(daemon.port, b"/hooks" + urllib.parse.quote(path).encode() + b"?wait", body=b"{}")
        assert (heard.status, heard.json) == (200, "/größe/ein wort")
    assert ask(daemon.port, b"/hooks/echo/a%2Fb?wait", body=b"{}").json["params"] == {"name": "a/b"}
    assert ask(daemon.port, b"/hooks/echo%2Fb", body=b"{}").status == 404, "an escaped slash separates nothing"
    refused = ask(daemon.port, b"/hooks/echo/%FF", body=b"{}")
    assert refused.status == 400 and "byte 0xff" in refused.json["detail"]
