"""Mail through a real SMTP server with STARTTLS and a password."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.header import decode_header, make_header
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


WORD = "=?utf-8?q?a=0d=0aBcc:=20z@z.example?="


async def test_encoded_words_in_data_are_literal_text(server: MailServer, tmp_path: Path) -> None:
    """Not in a subject, a name, a header of the flow's own or an attachment: what receivers show is what was given."""
    await send(
        server,
        tmp_path,
        {
            "to": [f'"{WORD}" <a@b.c>', "=?utf-8?b?w6k=?= <d@e.f>"],
            "subject": f"Re: {WORD}",
            "text": "t",
            "reply_to": f'"{WORD}" <r@s.t>',
            "sender": f'"{WORD}" <reactor@shop.example>',
            "headers": {"X-Word": f"{WORD} x"},
            "attach": [{"name": f"{WORD}.txt", "text": "a"}, {"name": 'quo"te\\ é.txt', "text": "b"}],
        },
    )
    mail, envelope = server.inbox.mails[-1], server.inbox.envelopes[-1]
    head = envelope.original_content.partition(b"\r\n\r\n")[0]
    assert b"Bcc" not in head and b"z.example" not in head
    assert mail["Bcc"] is None and envelope.rcpt_tos == ["a@b.c", "d@e.f"]
    assert str(mail["Subject"]) == f"Re: {WORD}" and str(mail["X-Word"]) == f"{WORD} x"
    assert [one.display_name for one in mail["To"].addresses] == [WORD, "=?utf-8?b?w6k=?="]
    assert mail["Reply-To"].addresses[0].display_name == mail["From"].addresses[0].display_name == WORD
    assert [part.get_filename() for part in mail.iter_attachments()] == [f"{WORD}.txt", 'quo"te\\ é.txt']
    assert b"\nBcc" not in envelope.original_content


@pytest.mark.parametrize(
    "subject",
    [
        "plain", "ünï ✓ " * 60, "long " * 60 + "end", "x" * 2000, " padded ", "a  b\tc", "", "=?", "?=",
        "=?utf-8?b?" + "x" * 400, "日本語" * 100, "a\u2028b\x85c",
    ],
)  # fmt: skip
async def test_subjects_arrive_as_they_are(server: MailServer, tmp_path: Path, subject: str) -> None:
    await send(server, tmp_path, {"to": "a@b.c", "subject": subject, "text": "t"})
    envelope = server.inbox.envelopes[-1]
    head = envelope.original_content.partition(b"\r\n\r\n")[0]
    assert head.isascii() and all(len(line) <= 998 for line in head.split(b"\r\n"))
    (found,) = re.findall(r"^Subject: ([^\r]*(?:\r\n[ \t][^\r]*)*)", head.decode(), re.MULTILINE)
    unfolded = re.sub(r"\r\n(?=[ \t])", "", found)
    assert str(make_header(decode_header(unfolded))) == subject


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "a\nb"}, {"subject": "a\rb"}, {"subject": "a\0b"}, {"subject": "\ud83d"}, {"text": "\ud83d"},
        {"headers": {"X A": "1"}}, {"headers": {"": "1"}}, {"headers": {"X-Ö": "1"}}, {"headers": {"X:Y": "1"}},
        {"headers": {"Subject": "1"}}, {"headers": {"Content-Transfer-Encoding": "8bit"}}, {"headers": {"MIME-Version": "2"}},
        {"reply_to": "a@b.c\r\nBcc: x@y.z"}, {"sender": "a@b.c, d@e.f"}, {"to": "a@b..ü"}, {"to": "@b"},
        {"to": "\ud83d@b.c"}, {"attach": [{"name": "a\r\nb", "text": "x"}]}, {"attach": [{"name": "n" * 300, "text": "x"}]},
        {"attach": [{"name": "a", "text": "x", "type": "text/html\r\nX: y"}]},
        {"attach": [{"name": "a", "text": "x", "type": "multipart/mixed"}]},
    ],
)  # fmt: skip
async def test_headers_that_cannot_be_made(server: MailServer, tmp_path: Path, wrong: dict[str, Any]) -> None:
    count = len(server.inbox.mails)
    with pytest.raises(StepFailed) as caught:
        await send(server, tmp_path, {"to": "a@b.c", "subject": "s", "text": "t"} | wrong)
    assert caught.value.type == "expression" and not caught.value.retryable and len(server.inbox.mails) == count


async def test_international_addresses(server: MailServer, tmp_path: Path) -> None:
    mail = {"subject": "s", "text": "t"}
    result = await send(server, tmp_path, mail | {"to": ["Zoë <zoë@bücher.example>", "ada@bücher.example"]})
    envelope = server.inbox.envelopes[-1]
    assert envelope.rcpt_tos == ["zoë@xn--bcher-kva.example", "ada@xn--bcher-kva.example"] == result["accepted"]
    assert envelope.smtp_utf8 and "zoë@xn--bcher-kva.example".encode() in envelope.original_content
    await send(server, tmp_path, mail | {"to": "ada@ｂücher。example", "sender": "x@bücher.example"})
    envelope = server.inbox.envelopes[-1]
    assert envelope.rcpt_tos == ["ada@xn--bcher-kva.example"] and envelope.mail_from == "x@xn--bcher-kva.example"
    assert not envelope.smtp_utf8 and envelope.original_content.isascii()


async def test_a_server_without_smtputf8(tmp_path: Path) -> None:
    with MailServer(tmp_path, utf8=False) as plain:
        with pytest.raises(StepFailed, match="does not offer SMTPUTF8, which zoë@xn--bcher-kva") as caught:
            await send(plain, tmp_path, {"to": ["a@b.c", "zoë@bücher.example"], "subject": "s", "text": "t"})
        assert caught.value.type == "smtp.utf8" and not caught.value.retryable and not plain.inbox.mails
        await send(plain, tmp_path, {"to": "ada@bücher.example", "subject": "ü", "text": "ü"})
        assert plain.inbox.mails[-1]["Subject"] == "ü"
        assert plain.inbox.envelopes[-1].original_content.isascii(), "8BITMIME is not needed"


@pytest.mark.parametrize(
    ("answer", "type", "retryable"),
    [
        ("250 OK", None, False), ("251 kept", None, False), ("554 no", "smtp.refused", False), ("452 later", "smtp.refused", True),
        ("okay then", "smtp.answer", False), ("250 " + "x" * 9000, "smtp.answer", False),
    ],
)  # fmt: skip
async def test_a_mail_that_was_taken_is_not_sent_again(
    server: MailServer, tmp_path: Path, answer: str, type: str | None, retryable: bool
) -> None:
    server.inbox.answer = answer
    try:
        sent = {"to": "a@b.c", "subject": "s", "text": "t"}
        if type is None:
            assert (await send(server, tmp_path, sent))["accepted"] == ["a@b.c"]
            return
        with pytest.raises(StepFailed) as caught:
            await send(server, tmp_path, sent)
        assert (caught.value.type, caught.value.retryable) == (type, retryable)
    finally:
        server.inbox.answer = "250 OK"
