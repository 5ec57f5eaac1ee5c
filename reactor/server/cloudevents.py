"""CloudEvents 1.0 (cloudevents.io, JSON and HTTP bindings) to events and the plain `POST` of a type."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Mapping

from reactor.contracts.event import Event, rfc3339
from reactor.kit.charset import NotText, decode_json, decode_text, parameter, unquoted

CONTEXT = frozenset({"specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time"})
_NAME = re.compile(r"[a-z0-9]{1,40}")


class BadEvent(Exception):
    """The message is no CloudEvent; the text says why."""


def structured(data: object) -> Event:
    """An event in the JSON format. Raises BadEvent."""
    if not isinstance(data, dict):
        raise BadEvent("an event is a JSON object")
    attributes = {name: value for name, value in data.items() if name not in ("data", "data_base64")}
    payload = data.get("data")
    if "data_base64" in data:
        if "data" in data:
            raise BadEvent("data and data_base64 exclude each other")
        try:
            base64.b64decode(str(data["data_base64"]), validate=True)
        except (binascii.Error, ValueError):
            raise BadEvent("data_base64 is not base64") from None
        payload = data["data_base64"]
    return _event(attributes, payload)


def binary(headers: Mapping[str, str], raw: bytes, type: str | None) -> Event:
    """An event whose attributes are `ce-` headers. A plain body with `?type=` is taken too, without an identity
    (an Idempotency-Key gives it one). Raises BadEvent."""
    attributes: dict[str, object] = {
        name[3:]: header_value(name, value) for name, value in headers.items() if name.startswith("ce-")
    }
    content_type = headers.get("content-type", "")
    payload = _payload(raw, content_type)
    if attributes:
        if "traceparent" in headers:
            attributes.setdefault("traceparent", headers["traceparent"])
        return _event(attributes, payload)
    if type is None:
        raise BadEvent("send a CloudEvent (ce- headers or application/cloudevents+json), or name its type with ?type=")
    trace = headers.get("traceparent")
    return Event(
        type=_type(type),
        source="/api/v1/events",
        data=payload,
        key=headers.get("idempotency-key") or None,
        extensions={} if trace is None else {"traceparent": trace},
    )


def header_value(name: str, value: str) -> str:
    """An attribute out of its header: quotes are taken off, then percent-escapes decoded once (HTTP binding, 3.1.3.2).
    Raises BadEvent."""
    if not value.isascii():
        place = next(index for index, character in enumerate(value) if not character.isascii())
        raise BadEvent(
            f"the header {name}: byte 0x{ord(value[place]):02x} at position {place} is not ASCII; such characters are"
            " percent-encoded in UTF-8"
        )
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquoted(value.encode())
    except NotText as error:
        raise BadEvent(f"the header {name}: {error}") from None


def _payload(raw: bytes, content_type: str) -> object:
    """JSON as data, text as text, all else as base64; in the charset that the content type declares, else UTF-8."""
    kind = content_type.partition(";")[0].strip().lower()
    charset = parameter(content_type, "charset")
    if not raw:
        return None
    if kind in ("application/json", "") or kind.endswith("+json"):
        try:
            return decode_json(raw, charset)
        except NotText as error:
            if kind:
                raise BadEvent(f"the data is not valid JSON: {error}") from None
    try:
        return decode_text(raw, charset)
    except NotText as error:
        if charset is not None or kind.startswith("text/"):
            raise BadEvent(f"the data cannot be read as text: {error}") from None
        return base64.b64encode(raw).decode()


def _type(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 500 or not value.isprintable():
        raise BadEvent("type is a text that is not empty")
    return value


def _event(attributes: Mapping[str, object], payload: object) -> Event:
    version = attributes.get("specversion")
    if version is None:
        raise BadEvent("specversion is missing; it is 1.0")
    if not str(version).startswith("1."):
        raise BadEvent(f"specversion {version} is not read here; 1.0 is")
    for name in ("id", "source"):
        value = attributes.get(name)
        if not isinstance(value, str) or not value or len(value) > 1000:
            raise BadEvent(f"{name} is a text that is not empty")
    for name in attributes:
        if name not in CONTEXT and not _NAME.fullmatch(name):
            raise BadEvent(f"the attribute {name!r} is not made of lower-case letters and digits")
    subject = attributes.get("subject")
    if subject is not None and not isinstance(subject, str):
        raise BadEvent("subject is a text")
    return Event(
        type=_type(attributes.get("type")),
        source=str(attributes["source"]),
        key=str(attributes["id"]),
        subject=subject,
        time=_time(attributes.get("time")),
        data=payload,
        extensions={
            name: value
            for name, value in attributes.items()
            if name not in CONTEXT or name in ("datacontenttype", "dataschema")
        },
    )


def _time(value: object) -> float | None:
    if value is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        raise BadEvent("time is an RFC 3339 timestamp") from None
    if moment.tzinfo is None:
        raise BadEvent("time is an RFC 3339 timestamp, with its zone")
    seconds = moment.timestamp()
    try:
        rfc3339(seconds)
    except OverflowError:
        raise BadEvent("time is between the years 1 and 9999, in UTC") from None
    return seconds
