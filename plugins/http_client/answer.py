"""What comes back from an HTTP request. What is readable is read; a body that is not fails the step for good."""

from __future__ import annotations

import base64
import datetime
import email.utils
import urllib.parse
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from plugins.actions._place import Partial, Place, errors
from reactor.contracts.errors import StepFailed
from reactor.contracts.names import named
from reactor.contracts.text import is_text, not_utf8, raw
from reactor.kit.charset import codec, parameter, text_or_none

if TYPE_CHECKING:
    import aiohttp

MAX_BODY = 8 * 1024 * 1024
MAX_SAVED = 4 * 1024**3
MAX_ERROR_BODY = 64 * 1024
CHUNK = 256 * 1024


def header(value: str) -> str:
    """A header's value: UTF-8, or Latin-1 as HTTP once had it (RFC 9110, section 5.5, obs-text)."""
    return value if is_text(value) else raw(value).decode("latin-1")


def headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {header(name).lower(): header(value) for name, value in response.headers.items()}


def location_of(response: aiohttp.ClientResponse) -> str | None:
    """Where a redirect leads; bytes that are not ASCII are quoted, as browsers do."""
    value = response.headers.get("Location")
    if value is None:
        return None
    return urllib.parse.quote(raw(value.strip()), safe="".join(map(chr, range(0x21, 0x7F))))


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, section 10.2.3): a number or a date."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()) if len(value.strip()) < 9 else None
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(moment.timestamp() - now, 0.0)


def expected(status: int, expect: str | int | list[int | str]) -> bool:
    """Whether a status is one of those that count as success."""
    for one in expect if isinstance(expect, list) else [expect]:
        text = str(one).lower()
        if text == str(status) or (text.endswith("xx") and text[0] == str(status)[0]):
            return True
    return False


def decode(data: bytes, content_type: str) -> Any:
    """JSON by content type, else text as it is declared, else base64."""
    kind = content_type.partition(";")[0].strip().lower()
    charset = parameter(content_type, "charset") or None
    if kind == "application/json" or kind.endswith("+json"):
        return _json(data, charset)
    text = text_or_none(data, charset)
    return base64.b64encode(data).decode() if text is None else text


def _json(data: bytes, charset: str | None) -> Any:
    text = text_or_none(data, charset)
    if text is None:
        reason = (
            f"it is not {charset}" if charset is not None and codec(charset) not in (None, "utf-8") else not_utf8(data)
        )
        raise unreadable(f"the answer is JSON, and cannot be decoded: {reason}")
    try:
        return msgspec.json.decode(text.encode("utf-8")) if text.strip() else None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise unreadable(f"the answer says it is JSON, and is not: {error}") from None


def unreadable(message: str) -> StepFailed:
    return StepFailed("http.content", message, retryable=False)


async def read(response: aiohttp.ClientResponse, limit: int = MAX_BODY) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(CHUNK):
        size += len(part)
        parts.append(part)
        if size > limit:
            raise StepFailed(
                "limit", f"the answer has more than {limit:,} bytes; stream it with save_to", retryable=False
            )
    return b"".join(parts)


async def read_some(response: aiohttp.ClientResponse, failures: tuple[type[Exception], ...]) -> bytes:
    """The beginning of a body, or what of it can be read: for an error, whose status matters more."""
    found = b""
    try:
        async for part in response.content.iter_chunked(CHUNK):
            found += part
            if len(found) >= MAX_ERROR_BODY:
                break
    except failures:
        pass
    return found[:MAX_ERROR_BODY]


async def save(response: aiohttp.ClientResponse, place: Place) -> dict[str, Any]:
    """Streams into a file beside the target, renamed when it is whole."""
    size = 0
    with errors(place):
        partial = await anyio.to_thread.run_sync(Partial, place)
    try:
        async for part in response.content.iter_chunked(CHUNK):
            size += len(part)
            if size > MAX_SAVED:
                raise StepFailed("limit", f"the answer has more than {MAX_SAVED:,} bytes", retryable=False)
            with errors(place):
                await anyio.to_thread.run_sync(partial.file.write, part)
    except BaseException:
        partial.drop()
        raise
    with errors(place):
        await anyio.to_thread.run_sync(partial.put)
    return {**named("path", str(place.path)), "size": size}
