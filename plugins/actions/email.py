"""Mail through a connection of the kind smtp."""

from __future__ import annotations

import base64
import binascii
import email.message
import email.policy
import email.utils
import hashlib
import mimetypes
from typing import Any, ClassVar

import anyio
import msgspec

from plugins.actions._paths import locate
from plugins.actions._place import Place, errors
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.text import shown

MAX_MAIL = 25 * 1024 * 1024
MAX_TO = 100


class Attachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str | None = None
    """A file,"""
    text: str | None = None
    """or text,"""
    json: Any = msgspec.UNSET
    """or any value as JSON,"""
    bytes: str | None = None
    """or base64."""
    name: str | None = None
    type: str | None = None


class SendOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    to: str | list[str]
    """To whom: an address (`Ada <ada@shop.example>` works too), or a list; at most 100 with cc and bcc."""
    subject: str
    """The subject."""
    text: str | None = None
    """The mail as plain text,"""
    html: str | None = None
    """or as HTML, or both."""
    cc: str | list[str] = []
    """Copies to."""
    bcc: str | list[str] = []
    """Copies to, unseen by the others."""
    reply_to: str | None = None
    """Where answers go."""
    sender: str | None = None
    """From whom; the connection's `sender` unless given."""
    headers: dict[str, str] = {}
    """Further headers."""
    attach: list[Attachment] = []
    """Files: each a `path`, or `text`, `json` or `bytes` (base64) with a `name`; `type` by the name unless given."""
    connection: str = "email"
    """The connection of the kind smtp."""


class Send:
    name = "email.send"
    summary = "Sends a mail, with attachments, through a connection of the kind smtp."
    repeat = "keyed"
    needs: ClassVar[str | None] = None
    reads: ClassVar[tuple[str, ...]] = ("attach",)
    connection_kinds: ClassVar[tuple[str, ...]] = ("smtp",)
    Options = SendOptions
    result_fields = ("message_id", "accepted", "refused")
    example = "call: email.send\nwith:\n  to: ada@shop.example\n  subject: Thanks\n  text: Your order is on its way."

    async def run(self, options: SendOptions, context: ActionContext) -> Any:
        import aiosmtplib

        async with context.connection(options.connection) as server:
            sender = options.sender or server.options.sender
            if not sender:
                raise StepFailed("expression", "give `sender`, here or in the connection", retryable=False)
            message, to = await compose(options, context, sender)
            raw = message.as_bytes(policy=email.policy.SMTP)
            if len(raw) > MAX_MAIL:
                raise StepFailed("limit", f"the mail has {len(raw):,} bytes; at most 25 MiB", retryable=False)
            envelope = email.utils.parseaddr(sender)[1]
            try:
                async with server.session() as client:
                    refused, _ = await client.sendmail(envelope, to, raw, timeout=60)
            except aiosmtplib.SMTPRecipientsRefused as error:
                details = {one.recipient: f"{one.code} {one.message}" for one in error.recipients}
                codes = [one.code for one in error.recipients]
                raise StepFailed(
                    "smtp.refused",
                    f"no address was taken: {'; '.join(details.values())[:500]}",
                    status=codes[0],
                    retryable=all(code < 500 for code in codes),
                    details={"refused": details},
                ) from None
            except aiosmtplib.SMTPResponseException as error:
                raise StepFailed(
                    "smtp.refused", f"{error.code} {error.message}", status=error.code, retryable=error.code < 500
                ) from None
            except (aiosmtplib.SMTPException, OSError) as error:
                raise NotConnected(f"{server.options.host}: {error}") from None
        answers = {address: f"{code} {text}" for address, (code, text) in refused.items()}
        return {
            "message_id": str(message["Message-ID"]),
            "accepted": [address for address in to if address not in answers],
            "refused": answers,
        }


async def compose(
    options: SendOptions, context: ActionContext, sender: str
) -> tuple[email.message.EmailMessage, list[str]]:
    """The message, and whom it goes to. The Message-ID is made of the idempotency key: a mail that is sent again
    after a crash has the same, and servers that look at it show it once."""
    if options.text is None and options.html is None:
        raise StepFailed("expression", "give text, or html, or both", retryable=False)
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    named = {"to": addresses(options.to), "cc": addresses(options.cc), "bcc": addresses(options.bcc)}
    everyone = [email.utils.parseaddr(one)[1] for found in named.values() for one in found]
    if not 1 <= len(everyone) <= MAX_TO:
        raise StepFailed("expression", f"a mail goes to 1 to {MAX_TO} addresses", retryable=False)
    try:
        message["From"] = sender
        for name in ("to", "cc"):
            if named[name]:
                message[name.title()] = ", ".join(named[name])
        message["Subject"] = options.subject
        if options.reply_to is not None:
            message["Reply-To"] = options.reply_to
        message["Date"] = email.utils.formatdate(context.clock.now())
        digest = hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:32]
        domain = email.utils.parseaddr(sender)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{digest}@{domain}>"
        for name, value in options.headers.items():
            if name.lower() in ("from", "to", "cc", "bcc", "date", "message-id", "content-type"):
                raise StepFailed("expression", f"the header {name} has an option of its own", retryable=False)
            message[name] = value
    except ValueError as error:
        raise StepFailed("expression", f"a header cannot be made: {error}", retryable=False) from None
    if options.text is not None:
        message.set_content(options.text)
        if options.html is not None:
            message.add_alternative(options.html, subtype="html")
    else:
        message.set_content(options.html or "", subtype="html")
    for place, one in enumerate(options.attach):
        data, name = await _attachment(one, place, context)
        kind = one.type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        main, _, sub = kind.partition("/")
        try:
            message.add_attachment(data, maintype=main, subtype=sub or "octet-stream", filename=name)
        except (ValueError, TypeError) as error:
            raise StepFailed("expression", f"attach: {error}", retryable=False) from None
    return message, everyone


def addresses(given: str | list[str]) -> list[str]:
    """Each address for itself. Raises StepFailed for what is none."""
    parts = [given] if isinstance(given, str) else given
    if any(c in part for part in parts for c in "\r\n\0"):
        raise StepFailed("expression", "an address has a line break", retryable=False)
    found = email.utils.getaddresses(parts)
    for name, address in found:
        local, at, domain = address.rpartition("@")
        if not (local and at and domain) or " " in address:
            raise StepFailed("expression", f"{(name or address)!r} is no mail address", retryable=False)
    return [email.utils.formataddr(pair) for pair in found]


def _read(where: Place) -> bytes:
    with errors(where), where.reading() as file:
        data = file.read(MAX_MAIL + 1)
    if len(data) > MAX_MAIL:
        raise StepFailed("limit", f"{where} has more than 25 MiB", retryable=False)
    return data


async def _attachment(one: Attachment, place: int, context: ActionContext) -> tuple[bytes, str]:
    given = [one.path is not None, one.text is not None, one.json is not msgspec.UNSET, one.bytes is not None]
    if sum(given) != 1:
        raise StepFailed("expression", "an attachment has exactly one of path, text, json and bytes", retryable=False)
    if one.path is not None:
        where = locate(context, f"attach.{place}.path", one.path)
        return await anyio.to_thread.run_sync(_read, where), one.name or shown(where.name)
    if one.name is None:
        raise StepFailed("expression", "an attachment that is not a file needs a `name`", retryable=False)
    if one.text is not None:
        return one.text.encode(), one.name
    if one.bytes is not None:
        try:
            return base64.b64decode(one.bytes, validate=True), one.name
        except (binascii.Error, ValueError):
            raise StepFailed("expression", "bytes is not base64", retryable=False) from None
    return msgspec.json.format(msgspec.json.encode(one.json), indent=2), one.name
