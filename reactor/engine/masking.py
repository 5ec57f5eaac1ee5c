"""Keeps secret values out of what is stored, logged and shown, in the forms that protocols give them too."""

from __future__ import annotations

import base64
import functools
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

MASK = "***"
SHORTEST = 4
"""Characters below which a value is masked only as it is: its encoded forms would fit anything."""


def forms(secret: str) -> set[str]:
    """A value as itself, and as base64 (at each of the three places in a longer text, both alphabets), hexadecimal,
    URL-quoted and JSON-escaped."""
    found = {secret}
    if len(secret) < SHORTEST:
        return found
    raw = secret.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(raw).decode().rstrip("="))
        for shift in (1, 2):
            # what stays the same whatever stands before: the first characters depend on it, the last on what follows
            whole = encode(b"\0" * shift + raw).decode().rstrip("=")
            found.add(whole[shift + 1 :][: (len(raw) + shift) * 4 // 3 - shift - 1])
        found.add(encode(raw).decode()[: len(raw) // 3 * 4])
    hexadecimal = raw.hex()
    found |= {hexadecimal, hexadecimal.upper()}
    quoted = urllib.parse.quote(secret, safe="")
    found |= {quoted, urllib.parse.quote_plus(secret), urllib.parse.quote(secret)}
    found.add(re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), quoted))
    found.add(msgspec.json.encode(secret).decode()[1:-1])
    found.add(ascii(secret)[1:-1])
    return {form for form in found if len(form) >= SHORTEST}


@functools.lru_cache(256)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    known = {form for secret in secrets if secret for form in forms(secret)}
    if not known:
        return None
    return re.compile("|".join(re.escape(form) for form in sorted(known, key=lambda form: (-len(form), form))))


def mask(value: Any, given: Mapping[str, str] | Iterable[str]) -> Any:
    """The value with each secret, in any of its forms, made `***`; keys of objects too."""
    values = given.values() if isinstance(given, Mapping) else given
    pattern = _pattern(frozenset(values))
    return value if pattern is None else _masked(value, pattern)


def _masked(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(MASK, value)
    if isinstance(value, list):
        return [_masked(item, pattern) for item in value]
    if isinstance(value, dict):
        return {pattern.sub(MASK, str(key)): _masked(item, pattern) for key, item in value.items()}
    return value
