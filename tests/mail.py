"""A real SMTP server for tests: aiosmtpd, with TLS and a password, in a thread."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import ssl
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


class Inbox:
    """Keeps what it is sent; `refuse` addresses get 550, `later` ones 451."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.envelopes: list[Any] = []
        self.refuse: set[str] = set()
        self.later: set[str] = set()
        self.answer = "250 OK"
        """To a mail that was taken."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return "550 no such user"
        if address in self.later:
            return "451 come back"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.original_content, policy=email.policy.default))
        self.envelopes.append(envelope)
        return self.answer


def _sign_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = data.login == b"ada" and data.password == b"s3cret-pass/word"
    return AuthResult(success=good, handled=good)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


class MailServer:
    """`with MailServer(folder) as server`: STARTTLS is required, and user `ada` with `s3cret-pass/word`."""

    def __init__(self, folder: Path, port: int = 0, utf8: bool = True) -> None:
        self.utf8 = utf8
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.context)
        self.inbox = Inbox()
        self.port = port or free_port()

    def __enter__(self) -> MailServer:
        def factory() -> SMTP:
            made = SMTP(
                self.inbox, tls_context=self.context, require_starttls=True, auth_required=True,
                authenticator=_sign_in, enable_SMTPUTF8=self.utf8,
            )  # fmt: skip
            self._sessions.append(made)
            return made

        self._sessions: list[SMTP] = []
        self._controller = Controller(self.inbox, hostname="localhost", port=self.port)
        self._controller.factory = factory  # type: ignore[method-assign]
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        def hang_up() -> None:
            for session in self._sessions:
                if isinstance(session.transport, asyncio.WriteTransport):
                    session.transport.abort()

        self._controller.loop.call_soon_threadsafe(hang_up)
        self._controller.stop()
