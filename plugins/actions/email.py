"""Mail through a connection of the kind smtp."""

from __future__ import annotations

import base64
import binascii
import email.message
import email.policy
import email.utils
import hashlib
import mimetypes
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import msgspec

from plugins.actions._mail import address_header, disposition, mailboxes, text_header, wrong
from plugins.actions._paths import locate
from plugins.actions._place import Place, errors
from plugins.connections.smtp import Server
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.contracts.text import shown

if TYPE_CHECKING:
    import aiosmtplib

MAX_MAIL = 25 * 1024 * 1024
MAX_TO = 100
TIMEOUT = 60.0
OWN = frozenset({
    "from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "mime-version", "return-path",
})  # fmt: skip
KIND = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
POLICY = email.policy.SMTP.clone(cte_type="7bit", refold_source="none")


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


class Send(ActionKind[SendOptions]):
    name = "email.send"
    summary = "Sends a mail, with attachments, through a connection of the kind smtp."
    repeat = "keyed"
    path_options = ("attach.path",)
    reading_options = ("attach.path",)
    connection_kinds = ("smtp",)
    Options = SendOptions
    result_fields = ("message_id", "accepted", "refused")
    example = "call: email.send\nwith:\n  to: ada@shop.example\n  subject: Thanks\n  text: Your order is on its way."

    async def run(self, options: SendOptions, context: ActionContext) -> object:
        async with context.connection(options.connection) as server:
            sender = options.sender or server.options.sender
            if not sender:
                raise wrong("give `sender`, here or in the connection")
            mail = await compose(options, context, sender)
            if len(mail.raw) > MAX_MAIL:
                raise StepFailed("limit", f"the mail has {len(mail.raw):,} bytes; at most 25 MiB", retryable=False)
            refused = await deliver(server, mail)
        return {
            "message_id": mail.id,
            "accepted": [address for address in mail.to if address not in refused],
            "refused": refused,
        }


class Mail(NamedTuple):
    id: str
    sender: str
    to: list[str]
    raw: bytes

    @property
    def utf8(self) -> bool:
        """Whether an address has letters in front of the @ that only SMTPUTF8 carries."""
        return not all(address.isascii() for address in (self.sender, *self.to))


async def deliver(server: Server, mail: Mail) -> dict[str, str]:
    """Hands the mail to the server; the addresses that it refused. Once the server has taken it, nothing fails."""
    import aiosmtplib

    given = False
    try:
        async with server.session() as client:
            options = _mail_options(client, mail)
            encoding = "utf-8" if mail.utf8 else "ascii"
            refused: dict[str, tuple[int, str]] = {}
            try:
                await client.mail(mail.sender, options=options, encoding=encoding, timeout=TIMEOUT)
                for address in mail.to:
                    try:
                        await client.rcpt(address, encoding=encoding, timeout=TIMEOUT)
                    except aiosmtplib.SMTPRecipientRefused as error:
                        refused[address] = (error.code, shown(error.message))
                if len(refused) == len(mail.to):
                    raise _all_refused(refused)
                given = True
                await client.data(mail.raw, timeout=TIMEOUT)
            except aiosmtplib.SMTPDataError as error:
                if not 200 <= error.code < 300:
                    raise
    except aiosmtplib.SMTPResponseException as error:
        raise _refusal(error.code, shown(error.message), given) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotConnected(f"{server.options.host}: {shown(str(error))}") from None
    return {address: f"{code} {text}" for address, (code, text) in refused.items()}


def _mail_options(client: aiosmtplib.SMTP, mail: Mail) -> list[str]:
    options = [f"size={len(mail.raw)}"] if client.supports_extension("size") else []
    if mail.utf8:
        if not client.supports_extension("smtputf8"):
            odd = next(address for address in (mail.sender, *mail.to) if not address.isascii())
            raise StepFailed(
                "smtp.utf8",
                f"the mail server does not offer SMTPUTF8, which {odd} needs: letters in front of the @ are not ASCII",
                retryable=False,
            )
        options.append("SMTPUTF8")
    return options


def _all_refused(refused: dict[str, tuple[int, str]]) -> StepFailed:
    details = {address: f"{code} {text}" for address, (code, text) in refused.items()}
    codes = [code for code, _ in refused.values()]
    return StepFailed(
        "smtp.refused",
        f"no address was taken: {'; '.join(details.values())[:500]}",
        status=codes[0],
        retryable=all(400 <= code < 500 for code in codes),
        details={"refused": details},
    )


def _refusal(code: int, text: str, given: bool) -> StepFailed:
    if given and not 300 <= code < 600:
        said = f"the answer to the mail cannot be read, so the server may have taken it: {text[:500]}"
        return StepFailed("smtp.answer", said, retryable=False)
    return StepFailed("smtp.refused", f"{code} {text}", status=code, retryable=400 <= code < 500)


async def compose(options: SendOptions, context: ActionContext, sender: str) -> Mail:
    """The mail, and whom it goes to. The Message-ID is made of the idempotency key: a mail that is sent again after a
    crash has the same, and servers that look at it show it once."""
    if options.text is None and options.html is None:
        raise wrong("give text, or html, or both")
    to, cc, bcc = mailboxes(options.to), mailboxes(options.cc), mailboxes(options.bcc)
    everyone = [one.address for one in (*to, *cc, *bcc)]
    if not 1 <= len(everyone) <= MAX_TO:
        raise wrong(f"a mail goes to 1 to {MAX_TO} addresses")
    origin = mailboxes(sender)
    if len(origin) != 1:
        raise wrong("a mail has one sender")
    digest = hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:32]
    id = f"<{digest}@{origin[0].address.rpartition('@')[2]}>"
    head = address_header("From", origin)
    head += "".join(address_header(name, found) for name, found in (("To", to), ("Cc", cc)) if found)
    head += text_header("Subject", options.subject)
    if options.reply_to is not None:
        head += address_header("Reply-To", mailboxes(options.reply_to))
    head += f"Date: {email.utils.formatdate(context.clock.now())}\r\nMessage-ID: {id}\r\n"
    for name, value in options.headers.items():
        if name.lower() in OWN or name.lower().startswith(("content-", "resent-")):
            raise wrong(f"the header {name} has an option of its own, or is made by the mail")
        head += text_header(name, value)
    body = await _content(options, context)
    return Mail(id, origin[0].address, everyone, head.encode() + body.as_bytes(policy=POLICY))


async def _content(options: SendOptions, context: ActionContext) -> email.message.EmailMessage:
    message = email.message.EmailMessage(policy=POLICY)
    try:
        if options.text is not None:
            message.set_content(options.text)
            if options.html is not None:
                message.add_alternative(options.html, subtype="html")
        else:
            message.set_content(options.html or "", subtype="html")
    except UnicodeEncodeError:
        raise wrong("the text has a character that is not valid Unicode") from None
    if options.attach:
        message.make_mixed()
    for place, one in enumerate(options.attach):
        data, name = await _attachment(one, place, context)
        kind = one.type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        if not KIND.fullmatch(kind) or kind.startswith("multipart/"):
            raise wrong(f"attach: {kind!r} is not a content type such as text/csv")
        # not by the library's header classes: those read encoded words in a name
        part = email.message.Message()
        part["Content-Type"] = kind
        part["Content-Disposition"] = disposition(name)
        part["Content-Transfer-Encoding"] = "base64"
        part.set_payload(base64.encodebytes(data).decode("ascii"))
        message.attach(part)  # type: ignore[arg-type]
    return message


def addresses(given: str | list[str]) -> list[str]:
    """Each address for itself. Raises StepFailed for what is not one."""
    return [str(one) for one in mailboxes(given)]


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
