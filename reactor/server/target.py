"""What a request asks for and with which headers: bytes of strangers as text, or a 400 that says what is wrong."""

from __future__ import annotations

from typing import NamedTuple

from aiohttp import web

from reactor.kit.charset import NotText, unquoted
from reactor.kit.paths import plain_path
from reactor.server.routing import Problem

MAX_HEADERS = 100
MAX_QUERY_FIELDS = 200
ONCE = frozenset({"host", "content-length", "authorization", "content-type", "transfer-encoding", "content-encoding"})
GRAMMAR = (ONCE - {"authorization"}) | frozenset(
    {
        "accept-encoding", "access-control-request-headers", "access-control-request-method", "connection", "date",
        "expect", "forwarded", "origin", "sec-fetch-site", "sec-websocket-key", "sec-websocket-version", "te",
        "trailer", "traceparent", "tracestate", "upgrade", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    }
)  # fmt: skip
"""Headers whose grammar is ASCII: a byte beyond it is refused. In all others it is Latin-1 text (RFC 9110, 5.5); in
Authorization it may belong to a secret, whose bytes are compared."""


class Named(NamedTuple):
    """Names with one text each, and all values of each name where one came several times (else None)."""

    one: dict[str, str]
    all: dict[str, list[str]] | None = None


def read_headers(request: web.BaseRequest) -> Named:
    """Lower-case names; repeated ones joined with a comma. Raises Problem 400 for what two parsers could read in two
    ways, and 431."""
    found: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        if not value.isascii():
            value = _latin(name, lower, value)
        if lower in found:
            if lower in ONCE:
                raise Problem(400, "Bad request", f"the header {name} is given twice")
            several.setdefault(lower, [found[lower]]).append(value)
            found[lower] += ", " + value
        else:
            found[lower] = value
    if len(found) > MAX_HEADERS:
        raise Problem(431, "Too many headers", f"a request has at most {MAX_HEADERS} headers")
    if "content-length" in found and "transfer-encoding" in found:
        raise Problem(400, "Bad request", "Content-Length and Transfer-Encoding exclude each other")
    return Named(found, {name: several.get(name, [value]) for name, value in found.items()} if several else None)


def _latin(name: str, lower: str, value: str) -> str:
    raw = value.encode("utf-8", "surrogateescape")
    if lower in GRAMMAR:
        place = next(index for index, byte in enumerate(raw) if byte >= 0x80)
        raise Problem(
            400, "Bad request", f"the header {name}: byte 0x{raw[place]:02x} at position {place} is not ASCII"
        )
    return raw.decode("latin-1")


def read_path(request: web.BaseRequest) -> str:
    """The path with its percent-escapes decoded, `%2F` and `%25` excepted. Raises Problem 400."""
    try:
        return plain_path(request.rel_url.raw_path)
    except NotText as error:
        raise Problem(400, "Bad request", f"the path: {error}") from None


def read_query(request: web.BaseRequest) -> Named:
    """The last value of each name. Raises Problem 400."""
    text = request.rel_url.raw_query_string
    if not text:
        return Named({})
    if "&" not in text and "%" not in text and "+" not in text and text.isascii():
        name, _, value = text.partition("=")
        return Named({name: value})
    raw = text.encode("utf-8", "surrogateescape")
    parts = raw.split(b"&", MAX_QUERY_FIELDS)
    if len(parts) > MAX_QUERY_FIELDS:
        raise Problem(400, "Bad request", f"the query has more than {MAX_QUERY_FIELDS} fields")
    found: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    place = 0
    for part in parts:
        if part:
            given, _, sent = part.replace(b"+", b" ").partition(b"=")
            name, value = _decoded(given, place), _decoded(sent, place + len(given) + 1)
            if name in found:
                several.setdefault(name, [found[name]]).append(value)
            found[name] = value
        place += len(part) + 1
    return Named(found, {name: several.get(name, [value]) for name, value in found.items()} if several else None)


def _decoded(raw: bytes, place: int) -> str:
    if b"%" not in raw and raw.isascii():
        return raw.decode()
    try:
        return unquoted(raw, None, place)
    except NotText as error:
        raise Problem(400, "Bad request", f"the query: {error}") from None
