"""Bytes that are not UTF-8 are shown, kept or refused in one way."""

from __future__ import annotations

import base64
import os

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reactor.contracts import text


@given(st.binary())
def test_bytes_are_kept_whatever_they_are(data: bytes) -> None:
    for value in (data, os.fsdecode(data)):
        made = text.named("name", value)
        msgspec.json.encode(made)
        assert text.raw(value) == data
        kept = made.get("name_bytes")
        assert (base64.b64decode(kept) if kept else made["name"].encode()) == data
        assert (kept is None) == (text.not_utf8(data) is None)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_shown_and_written(value: str) -> None:
    msgspec.json.encode(text.clean({value: [value]}))
    text.raw(value)
    assert text.is_text(text.shown(value))
    if text.is_text(value):
        assert text.shown(value) == value
        assert text.named("name", value) == {"name": value}


def test_how_it_looks() -> None:
    assert text.shown(b"bad\xff.txt") == "bad\\xff.txt"
    assert text.shown(os.fsdecode(b"bad\xff.txt")) == "bad\\xff.txt"
    assert text.shown("a\ud83d") == "a\\ud83d"
    assert text.not_utf8(b"caf\xe9!") == "byte 0xe9 at position 3 is not UTF-8"
    assert text.without_bom(b"\xef\xbb\xbf{}") == b"{}"
