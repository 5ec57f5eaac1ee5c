"""Webhook signatures (rule 14): on raw bytes, in constant time, before anything is parsed; several secrets at once
for rotation; timestamps within 300 seconds; no reason in the answer."""

from __future__ import annotations

import base64
import binascii
import hmac
import mmap
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

TOLERANCE = 300.0
"""Seconds that a signed timestamp may be off."""


class Hmac(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    secret: str | list[str]
    header: str
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""


class Basic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    user: str
    password: str
    """The name of the secret."""


class Verify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Exactly one scheme, with the name (or names) of its secret."""

    standard: str | list[str] | None = None
    github: str | list[str] | None = None
    stripe: str | list[str] | None = None
    slack: str | list[str] | None = None
    shopify: str | list[str] | None = None
    bearer: str | list[str] | None = None
    basic: Basic | None = None
    hmac: Hmac | None = None

    def scheme(self) -> str | None:
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        return given[0] if len(given) == 1 else None

    def secret_names(self) -> list[str]:
        scheme = self.scheme()
        value = getattr(self, scheme) if scheme else None
        if isinstance(value, Basic):
            return [value.password]
        if isinstance(value, Hmac):
            value = value.secret
        return [value] if isinstance(value, str) else list(value or [])


Raw = bytes | mmap.mmap


class Unverified(Exception):
    """The request is not from who it should be."""


def check(verify: Verify, headers: Mapping[str, str], raw: Raw, now: float, secret: Callable[[str], str]) -> str | None:
    """The delivery's own id, where the scheme signs one. Raises Unverified."""
    scheme = verify.scheme()
    secrets = [secret(name) for name in verify.secret_names()]
    if scheme == "standard":
        return _standard(headers, raw, now, secrets)
    if scheme == "github":
        given = headers.get("x-hub-signature-256", "")
        if not _any([f"sha256={_digest(s.encode(), raw).hex()}" for s in secrets], given):
            raise Unverified
        return headers.get("x-github-delivery")
    if scheme == "stripe":
        _stripe(headers, raw, now, secrets)
        return None
    if scheme == "slack":
        _slack(headers, raw, now, secrets)
        return None
    if scheme == "shopify":
        expected = [base64.b64encode(_digest(s.encode(), raw)).decode() for s in secrets]
        if not _any(expected, headers.get("x-shopify-hmac-sha256", "")):
            raise Unverified
        return headers.get("x-shopify-event-id") or headers.get("x-shopify-webhook-id")
    if scheme == "bearer":
        kind, _, token = headers.get("authorization", "").partition(" ")
        sent = token.strip().encode("latin-1", "replace").decode("utf-8", "replace")  # headers are Latin-1 text here
        if not (_any(secrets, sent) and kind.lower() == "bearer"):
            raise Unverified
        return None
    if scheme == "basic":
        assert verify.basic is not None
        _basic(headers, verify.basic.user, secrets[0])
        return None
    assert verify.hmac is not None
    _generic(headers, raw, verify.hmac, secrets)
    return None


def identity_in(scheme: str | None, data: object) -> str | None:
    """The delivery's id, where it stands in the signed body instead of a header."""
    if not isinstance(data, dict):
        return None
    names = {"stripe": ("id",), "slack": ("event_id", "trigger_id")}.get(scheme or "", ())
    return next((data[name] for name in names if isinstance(data.get(name), str) and data[name]), None)


def _digest(key: bytes, *parts: Raw, algorithm: str = "sha256") -> bytes:
    made = hmac.new(key, digestmod=algorithm)
    for part in parts:
        made.update(part)
    return made.digest()


def _recent(stamp: str, now: float) -> bool:
    return stamp.isascii() and stamp.isdigit() and len(stamp) < 12 and abs(now - int(stamp)) <= TOLERANCE


def _stripe(headers: Mapping[str, str], raw: Raw, now: float, secrets: list[str]) -> None:
    """Stripe's scheme v1: HMAC-SHA256 of `timestamp.body`; several v1 signatures while a secret is rolled."""
    parts = [part.strip().partition("=") for part in headers.get("stripe-signature", "").split(",")[:32]]
    stamp = next((value for name, _, value in parts if name == "t"), "")
    if not _recent(stamp, now):
        raise Unverified
    expected = [_digest(secret.encode(), f"{stamp}.".encode(), raw).hex() for secret in secrets]
    found = False
    for name, _, value in parts:
        found |= name == "v1" and _any(expected, value)
    if not found:
        raise Unverified


def _slack(headers: Mapping[str, str], raw: Raw, now: float, secrets: list[str]) -> None:
    """Slack's scheme v0: HMAC-SHA256 of `v0:timestamp:body`."""
    stamp = headers.get("x-slack-request-timestamp", "")
    if not _recent(stamp, now):
        raise Unverified
    expected = [f"v0={_digest(secret.encode(), f'v0:{stamp}:'.encode(), raw).hex()}" for secret in secrets]
    if not _any(expected, headers.get("x-slack-signature", "")):
        raise Unverified


def _any(expected: list[str], given: str) -> bool:
    """Compares with all, each in constant time."""
    found = False
    for one in expected:
        found |= hmac.compare_digest(one.encode("utf-8", "replace"), given.encode("utf-8", "replace"))
    return found


def standard_key(secret: str) -> bytes:
    """The key behind a Standard Webhooks secret (`whsec_` and base64). Raises Unverified."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise Unverified from None


def _standard(headers: Mapping[str, str], raw: Raw, now: float, secrets: list[str]) -> str | None:
    """Standard Webhooks 1.0, scheme v1: HMAC-SHA256 of `id.timestamp.body`."""
    id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id or not _recent(stamp, now):
        raise Unverified
    head = f"{id}.{stamp}.".encode()
    expected = [base64.b64encode(_digest(standard_key(secret), head, raw)).decode() for secret in secrets]
    found = False
    for part in headers.get("webhook-signature", "").split(" ")[:16]:
        version, _, signature = part.partition(",")
        found |= version == "v1" and _any(expected, signature)
    if not found:
        raise Unverified
    return id


def _basic(headers: Mapping[str, str], user: str, password: str) -> None:
    kind, _, encoded = headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError, UnicodeDecodeError):
        given = ""
    if not (_any([f"{user}:{password}"], given) and kind.lower() == "basic"):
        raise Unverified


def _generic(headers: Mapping[str, str], raw: Raw, options: Hmac, secrets: list[str]) -> None:
    expected = []
    for secret in secrets:
        digest = _digest(secret.encode(), raw, algorithm=options.algorithm)
        encoded = digest.hex() if options.encoding == "hex" else base64.b64encode(digest).decode()
        expected.append(options.prefix + encoded)
    given = headers.get(options.header.lower(), "")
    if options.encoding == "hex":
        given = options.prefix + given[len(options.prefix) :].lower() if given.startswith(options.prefix) else given
    if not _any(expected, given):
        raise Unverified


def verify_problems(verify: Verify | None) -> list[tuple[str, str]]:
    if verify is not None and verify.scheme() is None:
        return [("verify", f"verify names exactly one of {', '.join(Verify.__struct_fields__)}")]
    return []
