"""Keeps secret values out of what is stored, logged and shown, in the forms that protocols give them too.

One pattern finds a set of secrets in all their forms. It is matched by an automaton (RE2), so a text costs the same
whatever the number of forms; JSON data is looked at once, as encoded bytes, and walked only when something was found.
"""

from __future__ import annotations

import base64
import functools
import html
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

MASK = "***"
SHORTEST = 4
"""Characters below which a value is masked only as it is: its encoded forms would fit anything."""
SHORTEST_LINE = 16
"""Characters from which a single line of a longer secret, such as a key in PEM, is masked by itself."""
WRAPPED = 58
"""Bytes from which base64 is broken into lines of 76 characters."""
MEMORY = 64 * 1024 * 1024


class Masker:
    """Masks one set of secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._pattern = _pattern(frozenset(secrets))

    def found(self, data: bytes) -> bool:
        """Whether a secret is in UTF-8 text, JSON included."""
        return self._pattern is not None and self._pattern.search(data) is not None

    def text(self, text: str) -> str:
        if self._pattern is None:
            return text
        data = text.encode("utf-8", "surrogatepass")
        if self._pattern.search(data) is None:
            return text
        masked: bytes = self._pattern.sub(MASK.encode(), data)
        return masked.decode("utf-8", "surrogatepass")

    def value(self, value: Any) -> Any:
        """JSON data with each secret made `***`; keys of objects too."""
        if isinstance(value, str):
            return self.text(value)
        if self._pattern is None or not isinstance(value, (list, tuple, dict)):
            return value
        try:
            if not self.found(msgspec.json.encode(value)):
                return value
        except (TypeError, ValueError):  # it holds what is not JSON, or text that is not UTF-8
            return self._walked(value)
        return self._walked(value)

    def _walked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, tuple)):
            return [self._walked(item) for item in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self._walked(item) for key, item in value.items()}
        return value


@functools.lru_cache(256)
def _masker(secrets: frozenset[str]) -> Masker:
    return Masker(secrets)


def masker(given: Mapping[str, str] | Iterable[str]) -> Masker:
    return _masker(frozenset(given.values() if isinstance(given, Mapping) else given))


def mask(value: Any, given: Mapping[str, str] | Iterable[str]) -> Any:
    """The value with each secret, in any of its forms, made `***`; keys of objects too. To be called on the whole
    value, before anything is cut off."""
    return masker(given).value(value)


def parts(secrets: Iterable[str]) -> set[str]:
    """The secrets, and the pieces of them that are left when one was taken for several parts of a URL."""
    found = set(secrets)
    for secret in list(found):
        found |= {piece for piece in re.split("[/?#@:]", secret) if len(piece) >= SHORTEST}
    return found


def _values(secret: str) -> set[str]:
    """The secret, and what in it is a secret by itself: a URL's password, the lines of a key."""
    found = {secret}
    url = re.fullmatch(r"[a-z][a-z0-9+.-]*://[^:@/]*:(.+)@[^@]*", secret, re.DOTALL)
    if url is not None and len(url[1]) >= SHORTEST:
        found |= {url[1], urllib.parse.unquote(url[1])}
    if "\n" in secret:
        found |= {line for one in secret.splitlines() if len(line := one.strip()) >= SHORTEST_LINE}
    return found


def _pattern(secrets: frozenset[str]) -> Any:
    """None when there is nothing to find. Longer forms come first: the leftmost match takes the first that fits."""
    import re2

    forms: dict[str, int] = {}
    for value in {value for secret in secrets if secret for value in _values(secret)}:
        forms.update(_forms(value))
    if not forms:
        return None
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    ordered = sorted(forms, key=lambda form: (-forms[form], form))
    return re2.compile("|".join(ordered).encode(), options)


def _forms(secret: str) -> dict[str, int]:
    """Patterns for a value as itself (whatever of it is URL-quoted, JSON-escaped or an HTML entity), in base64 (at each
    of the three places in a longer text, both alphabets, with or without padding) and in hexadecimal; with the length
    of what they stand for."""
    if len(secret) < SHORTEST:
        return {_literal(secret): len(secret)}
    found = {"".join(map(_character, secret)): len(secret)}
    for raw in _bytes(secret):
        found[f"(?i:{raw.hex()})"] = 2 * len(raw)
        for text in _base64(raw):
            between = "(?:\\\\*[rn\r\n]){0,2}" if len(raw) >= WRAPPED else ""
            found[between.join(map(_base64_character, text))] = len(text)
    return found


def _bytes(secret: str) -> set[bytes]:
    """What encoders of bytes are given: the value in UTF-8, in Latin-1, and as it stands inside JSON."""
    raw = secret.encode("utf-8", "surrogatepass")
    found = {raw}
    if not raw.isascii() and all(ord(character) < 256 for character in secret):
        found.add(secret.encode("latin-1"))
    if b'"' in raw or b"\\" in raw:
        found.add(raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
    return found


def _base64(raw: bytes) -> set[str]:
    found = {base64.b64encode(raw).decode().rstrip("="), base64.b64encode(raw).decode()[: len(raw) // 3 * 4]}
    for shift in (1, 2):
        # what stays the same whatever stands before: the first characters depend on it, the last on what follows
        whole = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        found.add(whole[shift + 1 :][: (len(raw) + shift) * 4 // 3 - shift - 1])
    return {text for text in found if len(text) >= SHORTEST}


def _base64_character(character: str) -> str:
    if character == "+":
        return "(?:[+-]|%(?:25)*2[bB])"
    if character == "/":
        return r"(?:\\*/|_|%(?:25)*2[fF])"
    return character


def _literal(text: str) -> str:
    import re2

    return str(re2.escape(text))


@functools.lru_cache(4096)
def _character(character: str) -> str:
    """A pattern for all the ways in which one character may be written."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    raw = character.encode("utf-8", "surrogatepass")
    ways = {_literal(character), "".join(f"%(?:25)*(?i:{byte:02x})" for byte in raw)}
    if code < 256:
        ways |= {rf"\\+x(?i:{code:02x})", f"%(?:25)*(?i:{code:02x})"}
    utf16 = character.encode("utf-16-be", "surrogatepass").hex()
    ways.add("".join(rf"\\+u(?i:{utf16[place : place + 4]})" for place in range(0, len(utf16), 4)))
    if code > 0xFFFF:
        ways.add(rf"\\+U(?i:{code:08x})")
    if not character.isascii():
        ways.add(_literal(raw.decode("latin-1")))
        ways.add("".join(rf"\\+x{byte:02x}" for byte in raw))
    if character in "\"'/":
        ways.add(rf"\\*{character}")
    if character == "\\":
        ways.add(r"\\+")
    if character == " ":
        ways.add(r"\+")
    if (escaped := {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}.get(character)) is not None:
        ways.add(rf"\\+{escaped}")
    if (entity := html.escape(character)) != character:
        ways |= {_literal(entity), f"&#0*{code};"}
    return f"(?:{'|'.join(sorted(ways))})"
