"""Answers as they come in the wild: what can be read is read, and what was done once is never asked for again."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest

from plugins.actions import http as actions
from plugins.actions import webhook
from reactor.contracts.errors import StepFailed
from tests.plugins.answers import Raw, answer
from tests.plugins.test_http import call, context

pytestmark = pytest.mark.anyio

TEXT = "Łódź 你好 é"
GOOD: dict[str, tuple[bytes, Any]] = {
    "latin-1 header": (answer(b"ok", b"X-Name: caf\xe9"), "ok"),
    "long header": (answer(b"ok", "X-Long: " + "a" * 12_000), "ok"),
    "many headers": (answer(b"ok", *[f"X-{n}: a" for n in range(300)]), "ok"),
    "unknown charset": (answer(b"ok", "Content-Type: text/plain; charset=klingon"), "ok"),
    "a codec that is no charset": (answer(b"ok", "Content-Type: text/plain; charset=hex"), "ok"),
    "broken charset": (answer(b"ok", b"Content-Type: text/plain; charset=\xff"), "ok"),
    "latin-1": (answer("Köln".encode("latin-1"), "Content-Type: text/plain; charset=ISO-8859-1"), "Köln"),
    "windows-1252": (answer("50 €".encode("cp1252"), 'Content-Type: text/plain; charset="windows-1252"'), "50 €"),
    "gbk": (answer("你好".encode("gbk"), "Content-Type: text/html; charset=GBK"), "你好"),
    "gbk under the older name": (answer("镕".encode("gbk"), "Content-Type: text/html; charset=gb2312"), "镕"),
    "shift_jis": (answer("①日本".encode("cp932"), "Content-Type: text/plain; charset=Shift_JIS"), "①日本"),
    "utf-16": (answer(TEXT.encode("utf-16"), "Content-Type: text/plain; charset=utf-16"), TEXT),
    "text with a mark": (answer(b"\xef\xbb\xbfok", "Content-Type: text/plain"), "ok"),
    "not as declared": (answer(b"\xe9", "Content-Type: text/plain; charset=utf-8"), "6Q=="),
    "undeclared bytes": (answer(b"\xe9", "Content-Type: text/plain"), "6Q=="),
    "json with a mark": (answer(b'\xef\xbb\xbf{"a":1}', "Content-Type: application/json"), {"a": 1}),
    "json in latin-1": (answer('{"a":"é"}'.encode("latin-1"), "Content-Type: application/json;charset=latin1"), {"a": "é"}),
    "json in utf-16": (answer('{"a":1}'.encode("utf-16"), "Content-Type: application/json"), {"a": 1}),
    "json under a wrong charset": (answer('{"a":"é"}'.encode(), "Content-Type: application/json; charset=ascii"), {"a": "é"}),
    "no json": (answer(b"", "Content-Type: application/json"), None),
    "brotli": (answer(brotli.compress(TEXT.encode()), "Content-Encoding: br", "Content-Type: text/plain"), TEXT),
    "gzip": (answer(gzip.compress(b"o") + gzip.compress(b"k"), "Content-Encoding: gzip"), "ok"),
    "deflate": (answer(zlib.compress(b"ok"), "Content-Encoding: deflate"), "ok"),
}  # fmt: skip
BAD: dict[str, bytes] = {
    "bad gzip": answer(b"no gzip at all", "Content-Encoding: gzip"),
    "bad brotli": answer(b"\xff\xff\xffno", "Content-Encoding: br"),
    "no json": answer(b"{no", "Content-Type: application/json"),
    "json that is not utf-8": answer(b'{"a":"\xe9"}', "Content-Type: application/json"),
    "json with half a character": answer(b'{"a":"\\ud83d"}', "Content-Type: application/json"),
    "an endless header": answer(b"ok", "X-Long: " + "a" * 300_000),
    "no http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no such status": answer(b"", status="abc OK"),
    "a body that is cut": answer(b"half", length=100),
}


def path_of(name: str) -> str:
    return "/" + name.replace(" ", "-")


@pytest.fixture(scope="module")
def server() -> Iterator[Raw]:
    answers = {path_of(name): raw for name, (raw, _) in GOOD.items()}
    answers |= {path_of(f"bad {name}"): raw for name, raw in BAD.items()}
    answers["/busy"] = answer(b"no gzip", "Content-Encoding: gzip", "Retry-After: 3", status="503 Busy")
    answers["/moved"] = answer(b"", "Location: /busy", status="303 See Other")
    answers["/lost"] = answer(b"", "Location: http://127.0.0.1:9/", status="303 See Other")
    answers["/latin"] = answer(b"", b"Location: /caf\xe9", status="302 Found")
    answers["/caf%E9"] = answer(b"there")
    answers["/echo"] = answer(b"ok")
    with Raw(answers) as found:
        yield found


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("cls", [actions.Post, actions.Get])
async def test_what_can_be_read_is_read(server: Raw, name: str, cls: Any) -> None:
    found = await call(cls, url=server.url + path_of(name))
    assert (found["status"], found["body"]) == (200, GOOD[name][1])
    json.dumps(found, ensure_ascii=False).encode()
    assert found["headers"].get("x-name", "café") == "café"


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_read_is_not_asked_for_again(server: Raw, name: str) -> None:
    with pytest.raises(StepFailed) as raised:
        await call(actions.Post, url=server.url + path_of(f"bad {name}"))
    assert (raised.value.type, raised.value.retryable) == ("http.content", False)


async def test_only_what_changes_nothing_is_asked_again_when_its_answer_is_lost(server: Raw, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, url=server.url + path_of("bad a body that is cut"))
    assert (raised.value.type, raised.value.retryable) == ("http.connect", True)
    for cls, options in ((actions.Post, {}), (actions.Put, {}), (actions.Delete, {})):
        with pytest.raises(StepFailed) as raised:
            await call(cls, url=server.url + path_of("bad a body that is cut"), **options)
        assert not raised.value.retryable


async def test_the_status_of_an_answer_counts_more_than_its_body(server: Raw) -> None:
    with pytest.raises(StepFailed) as raised:
        await call(actions.Post, url=f"{server.url}/busy")
    failed = raised.value
    assert (failed.type, failed.status, failed.retryable, failed.retry_after) == ("http.status", 503, True, 3.0)


@pytest.mark.parametrize("path", ["/moved", "/lost"])
async def test_what_fails_after_a_post_was_taken_is_not_retryable(server: Raw, path: str) -> None:
    with pytest.raises(StepFailed) as raised:
        await call(actions.Post, url=server.url + path)
    assert not raised.value.retryable
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, url=server.url + path)
    assert raised.value.retryable


async def test_a_file_that_cannot_be_written_is_known_before_or_final(server: Raw, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    asked = len(server.requests)
    with pytest.raises(StepFailed) as raised:
        await call(actions.Post, context(tmp_path, literals={"save_to": ""}), url=f"{server.url}/echo", save_to="a")
    assert raised.value.type == "file.path" and len(server.requests) == asked
    with pytest.raises(StepFailed) as raised:
        await call(actions.Post, context(tmp_path), url=f"{server.url}/echo", save_to="taken/a")
    assert (raised.value.type, raised.value.retryable) == ("file.exists", False)


async def test_a_redirect_in_latin_1(server: Raw) -> None:
    assert (await call(actions.Get, url=f"{server.url}/latin"))["body"] == "there"


@pytest.mark.parametrize("name", ["bad gzip", "no json", "a body that is cut"])
async def test_a_webhook_that_was_taken_is_sent_once(server: Raw, name: str) -> None:
    secret = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
    sent = await call(webhook.Send, url=server.url + path_of(f"bad {name}"), secret=secret, type="a")
    assert sent["status"] == 200
