"""Headers and addresses of a mail. Values are literal text: what looks like an encoded word, or breaks a line, never
becomes another header."""

from __future__ import annotations

import base64
import email.utils
import re
import urllib.parse
from typing import NamedTuple

from reactor.contracts.errors import StepFailed

LONGEST_LINE = 76
LONGEST_WORD = 900
LONGEST_FILE_NAME = 255
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_NAME = re.compile(r"[!-9;-~]{1,76}")
_DOMAIN = re.compile(r"[A-Za-z0-9._-]+|\[[A-Za-z0-9.:-]+\]")
_MADE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*(?:\r\n[ \t][^\x00-\x08\x0a-\x1f\x7f]+)*")


def wrong(message: str) -> StepFailed:
    return StepFailed("expression", message, retryable=False)


class Mailbox(NamedTuple):
    """An address as the envelope has it, its domain in A-labels, and the name in front of it."""

    name: str
    address: str

    def __str__(self) -> str:
        return self.phrase() if self.name else self.address

    def phrase(self) -> str:
        """As a header has it."""
        if not self.name:
            return self.address
        if not _is_plain(self.name):
            return f"{_encoded_words(self.name)} <{self.address}>"
        if _ATOMS.fullmatch(self.name):
            return f"{self.name} <{self.address}>"
        quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{self.address}>'


def mailboxes(given: str | list[str]) -> list[Mailbox]:
    """Each address for itself. Raises StepFailed for what is not one."""
    parts = [given] if isinstance(given, str) else given
    if any(_CONTROL.search(part) for part in parts):
        raise wrong("an address has a line break or a control character")
    return [_mailbox(name, address) for name, address in email.utils.getaddresses(parts)]


def _mailbox(name: str, address: str) -> Mailbox:
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or re.search(r"[\s<>\x00-\x20]", address):
        raise wrong(f"{(name or address)!r} is not a mail address")
    try:
        local.encode()
        name.encode()
    except UnicodeEncodeError:
        raise wrong("an address has a character that is not valid Unicode") from None
    return Mailbox(name, f"{local}@{_a_labels(domain)}")


def _a_labels(domain: str) -> str:
    """The domain as DNS has it: `bücher.example` is `xn--bcher-kva.example`."""
    if not domain.isascii():
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise wrong(f"{domain!r} is not a valid domain: {error}") from None
    if not _DOMAIN.fullmatch(domain):
        raise wrong(f"{domain!r} is not a valid domain")
    return domain


def address_header(name: str, given: list[Mailbox]) -> str:
    return _line(name, ",\r\n ".join(one.phrase() for one in given))


def text_header(name: str, value: str) -> str:
    """A header whose value is text: as it is where it is plain, else in encoded words (RFC 2047)."""
    if not _NAME.fullmatch(name):
        raise wrong(f"{name!r} is not a valid name of a header")
    if _CONTROL.search(value):
        raise wrong(f"the header {name} has a line break or a control character")
    return _line(name, _folded(value, len(name) + 2) if _is_plain(value) else _encoded_words(value))


def _line(name: str, made: str) -> str:
    """Each header is looked at once more as it leaves: no line of it may begin another."""
    if not _MADE.fullmatch(made):
        raise wrong(f"the header {name} cannot be made of its value")
    return f"{name}: {made}\r\n"


def _is_plain(value: str) -> bool:
    return (
        value.isascii() and "=?" not in value and value == value.strip()
        and all(len(word) <= LONGEST_WORD for word in value.split(" "))
    )  # fmt: skip


def _folded(value: str, used: int) -> str:
    """Broken in front of blanks, so that no line is long; the blanks stay."""
    lines: list[str] = []
    line = ""
    for piece in re.findall(r"[ \t]*[^ \t]+", value):
        if line and used + len(line) + len(piece) > LONGEST_LINE:
            lines.append(line)
            line, used = piece, 0
        else:
            line += piece
    return "\r\n".join([*lines, line])


def _encoded_words(value: str) -> str:
    words: list[str] = []
    part = b""
    try:
        for character in value:
            raw = character.encode()
            if len(part) + len(raw) > 45:
                words.append(_word(part))
                part = b""
            part += raw
    except UnicodeEncodeError:
        raise wrong("a header has a character that is not valid Unicode") from None
    return "\r\n ".join([*words, _word(part)])


def _word(raw: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(raw).decode('ascii')}?="


def disposition(name: str) -> str:
    """Content-Disposition of an attachment; a name that is not plain is percent-encoded (RFC 8187)."""
    if _CONTROL.search(name) or "\t" in name:
        raise wrong("attach: the name has a line break or a control character")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise wrong("attach: the name has a character that is not valid Unicode") from None
    if not 0 < size <= LONGEST_FILE_NAME:
        raise wrong(f"attach: the name has {size:,} bytes; it has from 1 to {LONGEST_FILE_NAME}")
    if name.isascii() and "=?" not in name and not re.search(r'[\\"%]', name):
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=utf-8''{urllib.parse.quote(name, safe='')}"
