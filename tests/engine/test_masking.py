"""Secrets are found in every form that a protocol gives them, wherever they stand."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable

import pytest

from reactor.kit.urls import quoted, secrets_of, shown_url, without_credentials
from reactor.secrets.masking import MASK, Masker, mask, parts

SECRETS = [
    'canary/S3cret+"value"&ü=42', "hunter2hunter2", "pa/ss#w?rd@x:y", "spaces and\ttabs", "Łódź-你好-\U0001f600", "back\\slash'quote\"",
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----", "%41%zz<tag>&amp;", "a" * 200, "abcd",
]  # fmt: skip


def base64_at(shift: int, encode: Callable[[bytes], bytes], padding: bool) -> Callable[[str], str]:
    def form(secret: str) -> str:
        return encode(b"\xfb\xff\xfe"[:shift] + secret.encode() + (b"" if padding else b"\xff\xfe")).decode()

    return form


def unpadded(encode: Callable[[bytes], bytes]) -> Callable[[str], str]:
    return lambda s: encode(s.encode()).decode().rstrip("=")


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda s: json.dumps(s)[1:-1],
    "json in utf-8": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "json in json": lambda s: json.dumps(json.dumps(s)),
    "json in json in json": lambda s: json.dumps(json.dumps(json.dumps(s))),
    "json of php": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda s: repr(s.encode()),
    "url": lambda s: urllib.parse.quote(s, safe=""),
    "url with slashes": urllib.parse.quote,
    "url of javascript": lambda s: urllib.parse.quote(s, safe="!'()*~"),
    "url as a client requotes it": lambda s: urllib.parse.quote(s, safe="!$&'()*+,;=:@/?"),
    "url lower": lambda s: re.sub("%..", lambda m: m.group().lower(), urllib.parse.quote(s, safe="")),
    "form": urllib.parse.quote_plus,
    "url twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "html": html.escape,
    "hex": lambda s: s.encode().hex(),
    "hex upper": lambda s: s.encode().hex().upper(),
    "base64 in lines": lambda s: base64.encodebytes(s.encode()).decode(),
    "base64 in a url": lambda s: urllib.parse.quote(base64.b64encode(s.encode()).decode(), safe=""),
    "base64 in json of php": lambda s: base64.b64encode(s.encode()).decode().replace("/", "\\/"),
    "header read as latin-1": lambda s: s.encode().decode("latin-1"),
}
for name, encode in (("base64", base64.b64encode), ("urlsafe", base64.urlsafe_b64encode)):
    for shift in range(3):
        for padding in (True, False):
            FORMS[f"{name} at {shift} {'padded' if padding else 'in the middle'}"] = base64_at(shift, encode, padding)
    FORMS[f"{name} without padding"] = unpadded(encode)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_each_form_is_found(secret: str, name: str) -> None:
    form = FORMS[name](secret)
    found = mask({"a": [f"before {form} after", {form: 1}]}, [secret])
    text = json.dumps(found)
    assert MASK in text and form not in text, text
    rest = text.replace(MASK, "")
    longest = max(re.split(r"\W+", form), key=len)
    assert len(longest) < 8 or longest not in rest, text
    as_log = Masker([secret]).text(json.dumps({"message": form}, ensure_ascii=False))
    assert MASK in as_log and (len(longest) < 8 or longest not in as_log), as_log


def test_what_holds_no_secret_comes_back_as_it_is() -> None:
    value = {"a": ["x", {"b": None}], "c": 1.5}
    assert mask(value, ["hunter2"]) is value and mask("a", {}) == "a"
    assert mask({"a": "\ud83d hunter2"}, ["hunter2"]) == {"a": f"\ud83d {MASK}"}
    assert mask("a 1 b", ["1"]) == f"a {MASK} b", "a short one is masked as it is"
    assert mask("MTIz", ["123"]) == "MTIz"


def test_of_two_the_longer_is_masked() -> None:
    assert mask("token-and-more token", ["token", "token-and-more"]) == f"{MASK} {MASK}"


def test_a_url_s_password_and_a_key_s_lines_are_secrets_too() -> None:
    assert mask("user said s3cr3t/x", ["postgres://user:s3cr3t%2Fx@host/db"]) == f"user said {MASK}"
    assert mask("line: MIIEvQIBADANBgkqhkiG9w0BAQEFAASC.", SECRETS) == f"line: {MASK}."
    assert parts(["pass/word#more"]) >= {"pass", "word", "more"}


def test_many_secrets_cost_no_more_than_one() -> None:
    """The pattern is one automaton: its answer is the same, and nothing is compiled again."""
    many = [f"secret-number-{place}-{place * 7919}" for place in range(40)]
    masker = Masker(many)
    text = " ".join(many)
    assert masker.text(text).split() == [MASK] * 40


URLS = [
    ("redis://:pa/ss#w@h:1/0", "redis://***@h:1/0", {"pa/ss#w"}, "redis://:pa%2Fss%23w@h:1/0"),
    ("redis://:p@h/0?client_name=a", "redis://***@h/0?client_name=a", {"p"}, None),
    ("redis://:pa?x/y@h", "redis://***@h", {"pa?x/y"}, "redis://:pa%3Fx%2Fy@h"),
    ("mqtt://u:1234/5@h", "mqtt://***@h", {"1234/5"}, "mqtt://u:1234%2F5@h"),
    ("postgresql://u:a%2Fb@h/db?sslmode=require", "postgresql://***@h/db?sslmode=require", {"a%2Fb", "a/b"}, None),
    ("nats://a:p1@h,nats://b:p2@i", "nats://***@h,nats://***@i", {"p1", "p2"}, None),
    ("nats://token@h", "nats://***@h", {"token"}, None),
    ("redis+sentinel://:p/w@h1:1,h2:2/m", "redis+sentinel://***@h1:1,h2:2/m", {"p/w"}, "redis+sentinel://:p%2Fw@h1:1,h2:2/m"),
    ("https://u:pw@h/x?api_key=abc&b=1", "https://***@h/x?api_key=***&b=1", {"pw", "abc"}, None),
    ("https://h/@ada/x", "https://h/@ada/x", set(), None), ("sqlite:///a/b@c", "sqlite:///a/b@c", set(), None),
    ("redis://[::1]:6379/0", "redis://[::1]:6379/0", set(), None), ("name", "name", set(), None),
]  # fmt: skip


@pytest.mark.parametrize(("url", "shown", "secret", "whole"), URLS)
def test_passwords_in_urls(url: str, shown: str, secret: set[str], whole: str | None) -> None:
    assert (shown_url(url), secrets_of(url), quoted(url)) == (shown, secret, whole or url)


def test_urls_in_a_longer_text() -> None:
    text = "a: 'redis://:p/w@h'\nb: https://medium.com/@ada c: nats://u:p@h ada@x.y redis://:${{ secrets.pw }}@h"
    shown = "a: 'redis://***@h'\nb: https://medium.com/@ada c: nats://***@h ada@x.y redis://:${{ secrets.pw }}@h"
    assert without_credentials(text) == shown
