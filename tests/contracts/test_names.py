"""File names as text: reversible, and unchanged where they are plain."""

from __future__ import annotations

import os

import pytest

from reactor.contracts.names import name_of, named, text_of

NAMES = [
    (b"plain.txt", "plain.txt"),
    ("Łódź ✓.txt".encode(), "Łódź ✓.txt"),
    (b"bad\xff.txt", "bad\\xff.txt"),
    (b"caf\xe9\xc3\xa9", "caf\\xe9é"),
    (b"bad\\xff.txt", "bad\\x5cxff.txt"),
    (b"a\\x5cb", "a\\x5cx5cb"),
    (b"a\\b\\x41\\xFF", "a\\b\\x41\\xFF"),
    (b"\\\xff\\", "\\\\xff\\"),
    (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
]


@pytest.mark.parametrize(("name", "text"), NAMES)
def test_there_and_back(name: bytes, text: str) -> None:
    spelled = os.fsdecode(name)
    assert text_of(spelled) == text
    assert os.fsencode(name_of(text)) == name
    text.encode()


def test_random_bytes_come_back() -> None:
    import random

    source = random.Random(7)
    for _ in range(5000):
        name = bytes(source.choice(b"ax5cf8\\\\\\\xff\xc3\xa9\xe9\x80") for _ in range(source.randrange(1, 12)))
        assert os.fsencode(name_of(text_of(os.fsdecode(name)))) == name


def test_the_bytes_stand_beside_a_name_that_is_not_utf8() -> None:
    assert named("name", "a") == {"name": "a"}
    assert named("name", os.fsdecode(b"a\xff")) == {"name": "a\\xff", "name_bytes": "Yf8="}
    with pytest.raises(ValueError, match="not valid Unicode"):
        name_of("\ud83d")
