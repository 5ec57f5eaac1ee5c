"""Mail through a real SMTP server with STARTTLS and a password."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugins.actions.email import Send, addresses
from plugins.connections.smtp import Settings, Smtp
from reactor.contracts.errors import NotConnected, StepFailed
from tests.mail import MailServer
from tests.plugins.test_file import context

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with MailServer(tmp_path_factory.mktemp("mail")) as one:
        yield one


def settings(server: MailServer, **more: Any) -> Settings:
    given = {
        "host": "localhost", "port": server.port, "user": "ada", "password": "s3cret-pass/word",
        "ca": str(server.ca), "sender": "Reactor <reactor@shop.example>",
    } | more  # fmt: skip
    return msgspec.convert(given, Settings)


async def send(server: MailServer, folder: Path, options: dict[str, Any], **more: Any) -> Any:
    kind = Smtp(settings(server, **more))
    client = await kind.open()
    here = context(folder)

    @asynccontextmanager
    async def lend(name: str) -> AsyncIterator[Any]:
        yield client

    here.connection = lend
    try:
        await kind.check(client)
        return await Send().run(msgspec.convert(options, Send.Options), here)
    finally:
        await kind.close(client)


async def test_a_mail_with_everything(server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "report.csv").write_text("a,b\n1,2\n")
    server.inbox.refuse = {"gone@shop.example"}
    result = await send(
        server,
        tmp_path,
        {
            "to": ["Ada Lövelace <ada@shop.example>", "gone@shop.example"],
            "bcc": "eve@shop.example",
            "subject": "Grüße",
            "text": "plain ✓",
            "html": "<b>rich</b>",
            "headers": {"X-Flow": "f"},
            "attach": [
                {"path": "report.csv"},
                {"name": "n.json", "json": {"a": 1}},
                {"name": "b.bin", "bytes": "AAE="},
            ],
        },
    )
    mail, envelope = server.inbox.mails[-1], server.inbox.envelopes[-1]
    assert result["accepted"] == ["ada@shop.example", "eve@shop.example"]
    assert result["refused"] == {"gone@shop.example": "550 no such user"}
    assert mail["Subject"] == "Grüße" and "Lövelace" in mail["To"] and mail["Bcc"] is None and mail["X-Flow"] == "f"
    assert envelope.rcpt_tos == ["ada@shop.example", "eve@shop.example"]
    assert mail["Message-ID"] == result["message_id"]
    assert mail.get_body(("plain",)).get_content().strip() == "plain ✓"
    found = {part.get_filename(): part for part in mail.iter_attachments()}
    assert found["report.csv"].get_content_type() == "text/csv"
    assert found["b.bin"].get_content() == b"\0\1"
    again = await send(server, tmp_path, {"to": "ada@shop.example", "subject": "s", "text": "t"})
    assert again["message_id"] == result["message_id"], "the same step has the same Message-ID"


async def test_refusals_say_whether_to_try_again(server: MailServer, tmp_path: Path) -> None:
    server.inbox.refuse, server.inbox.later = {"gone@shop.example"}, {"busy@shop.example"}
    for address, retryable in (("gone@shop.example", False), ("busy@shop.example", True)):
        with pytest.raises(StepFailed) as caught:
            await send(server, tmp_path, {"to": address, "subject": "s", "text": "t"})
        assert caught.value.type == "smtp.refused" and caught.value.retryable is retryable


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "a\r\nBcc: x@y.z"},
        {"to": "no address"},
        {"to": "a@b.c\nx"},
        {"to": []},
        {"headers": {"Bcc": "x@y.z"}},
        {"headers": {"X-A": "1\n2"}},
        {"text": None},
        {"attach": [{"name": "x"}]},
        {"attach": [{"text": "x"}]},
        {"to": [f"a{n}@b.c" for n in range(101)]},
    ],
)
async def test_what_cannot_be_sent(server: MailServer, tmp_path: Path, wrong: dict[str, Any]) -> None:
    count = len(server.inbox.mails)
    with pytest.raises(StepFailed) as caught:
        await send(server, tmp_path, {"to": "a@b.c", "subject": "s", "text": "t"} | wrong)
    assert caught.value.type == "expression" and len(server.inbox.mails) == count


async def test_a_wrong_password_an_unknown_authority_and_nobody_there(server: MailServer, tmp_path: Path) -> None:
    mail = {"to": "a@b.c", "subject": "s", "text": "t"}
    for wrong in ({"password": "no"}, {"ca": None}, {"port": 1}, {"host": "mail.invalid"}):
        with pytest.raises(NotConnected):
            await send(server, tmp_path, mail, **wrong)


def test_addresses_and_settings() -> None:
    assert addresses("Ada <a@b.c>, d@e.f") == ["Ada <a@b.c>", "d@e.f"]
    url = Smtp.from_url("smtps://us%40er:p%2Fw@mail.example:4465?sender=a@b.c")
    assert url == {
        "host": "mail.example", "security": "tls", "port": 4465, "user": "us@er", "password": "p/w", "sender": "a@b.c"
    }  # fmt: skip
    assert Smtp.problems(Settings(host="h", security="none", user="u", password="p"))[0][0] == "security"
    assert Smtp.problems(Settings(host="h", port=70000))[0][0] == "port"
