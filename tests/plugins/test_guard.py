"""The outgoing guard against a table of tricks. Nothing is sent: names come from a table, and sockets for anything but
the loopback are written down instead of opened."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from plugins.actions import http as actions
from plugins.http_client import guard as _guard
from reactor.contracts.errors import StepFailed
from tests.plugins.answers import Raw, answer
from tests.plugins.test_http import call, context

pytestmark = pytest.mark.anyio

NAMES = {
    "localhost": ["127.0.0.1", "::1"], "localhost.": ["127.0.0.1"], "metadata.google.internal": ["169.254.169.254"],
    "own.example": ["127.0.0.1"], "inside.example": ["10.1.2.3"], "mixed.example": ["93.184.216.34", "192.168.0.1"], "six.example": ["::ffff:10.0.0.1"],
    "public.example": ["93.184.216.34"], "xn--bcher-kva.example": ["93.184.216.35"], "link.example": ["fe80::1"],
}  # fmt: skip
PRIVATE = (
    "127.0.0.1",
    "10.0.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "172.16.0.9",
    "168.63.129.16",
)


def digits(address: str, zero: int) -> str:
    return "".join(chr(zero + int(c)) if c.isdigit() else c for c in address)


def circled(address: str) -> str:
    return "".join("⓪①②③④⑤⑥⑦⑧⑨"[int(c)] if c.isdigit() else c for c in address)


def spellings(address: str) -> list[str]:
    """Ways to write an IPv4 address as the host of a URL."""
    number = int(ipaddress.IPv4Address(address))
    a, b, c, d = (int(part) for part in address.split("."))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    return [
        address, digits(address, 0xFF10), circled(address), digits(address, 0x1D7CE), digits(address, 0x1D7F6),
        address.replace(".", "。"), address.replace(".", "｡"), address.replace(".", "．"), digits(address, 0xFF10).replace(".", "。"),
        f"{address}.", f"user:pass@{address}", f"public.example@{address}", f"{address}:80",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", f"0X{number:X}", str(number), f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{number & 0xFFFF}", f"{a:03}.{b:03}.{c:03}.{d:03}",
        f"[::ffff:{address}]", f"[::ffff:{high}:{low}]", f"[0:0:0:0:0:FFFF:{address}]", f"[::{address}]" if number > 1 else "[::]",
        f"[64:ff9b::{high}:{low}]", f"[64:ff9b:1::{high}:{low}]", f"[2002:{high}:{low}::]", f"[::ffff:0:{high}:{low}]",
        f"[fe80::5efe:{address}]", f"[2001:0:1:1:1:1:{number >> 16 ^ 0xFFFF:x}:{number & 0xFFFF ^ 0xFFFF:x}]",
        address.replace(".", "%2e"), f"%3{str(a)[0]}{address[1:]}",
    ]  # fmt: skip


TRICKS = [f"http://{host}/" for address in PRIVATE for host in spellings(address)] + [
    "http://[::1]/", "http://[::]/", "http://[fe80::1]/", "http://[fe80::1%25lo]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/",
    "http://[fec0::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/", "http://[①::1]:80@127.0.0.1/", "http://[::ﬀff:127.0.0.1]/",
    "http://localhost/", "http://LOCALHOST/", "http://localhost./", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://ｌｏｃａｌｈｏｓｔ/", "http://metadata.google.internal/",
    "http://inside.example/", "http://mixed.example/", "http://six.example/", "http://link.example/",
    "http://public.example\\@127.0.0.1/", "http://public.example#@127.0.0.1:0/", "http://public.example:0/", "http://127.0.0.1\\.public.example/",
    "http://127.0.0.1\u200b/", "http://127.0.0.1\u00ad/", "http://127.0.0.1／/", "http://127.0.0.1\t/", "http://127.0.0.1\n/", "http:// 127.0.0.1/",
    "http:127.0.0.1/", "//127.0.0.1/", "file:///etc/passwd", "ftp://public.example/", "gopher://127.0.0.1/", "http:///x", "http://", "http://?x",
    "http://%00/", "http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/", "http://198.18.0.1/", "http://192.0.2.1/",
]  # fmt: skip


class Recorder:
    def __init__(self) -> None:
        self.connected: list[str] = []
        self.asked: list[str] = []

    async def look_up(self, host: str, port: int, family: int) -> list[Any]:
        self.asked.append(host)
        if host in NAMES:
            found = [(one, socket.AF_INET6 if ":" in one else socket.AF_INET) for one in NAMES[host]]
            return [(kind, socket.SOCK_STREAM, 6, "", (one, port)) for one, kind in found]
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

    def open_socket(self, info: Any) -> socket.socket:
        self.connected.append(str(info[4][0]))
        if not ipaddress.ip_address(info[4][0]).is_loopback:
            raise ConnectionRefusedError(111, "this test sends nothing")
        return OPEN(info)


OPEN = _guard.open_socket


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    monkeypatch.setattr(_guard, "look_up", found.look_up)
    monkeypatch.setattr(_guard, "open_socket", found.open_socket)
    return found


@pytest.fixture
def server() -> Iterator[Raw]:
    with Raw({"/": answer(b"reached")}) as found:
        yield found


def test_the_table_is_long() -> None:
    assert len(set(TRICKS)) > 200


@pytest.mark.parametrize("url", sorted(set(TRICKS)), ids=ascii)
async def test_no_trick_passes(recorder: Recorder, url: str) -> None:
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, context(literals={"url": ""}), url=url)
    assert set(recorder.connected) <= {"93.184.216.34"}
    assert raised.value.type == "http.refused" or recorder.asked, "refused, or not the name of anything"


@pytest.mark.parametrize("url", sorted(set(TRICKS)), ids=ascii)
async def test_no_trick_passes_in_a_redirect(recorder: Recorder, server: Raw, url: str) -> None:
    server.answers["/"] = answer(b"", b"Location: " + url.encode(), status="302 Found")
    own = f"own.example:{server.port}"
    with pytest.raises(StepFailed):
        await call(actions.Get, context(), url=f"http://{own}/")
    assert [one for one in recorder.connected if one != "93.184.216.34"] == ["127.0.0.1"] * len(server.requests)
    assert all(f"\r\nHost: {own}\r\n".encode() in one for one in server.requests)


@pytest.mark.parametrize(
    "host",
    ["public.example", "BÜCHER.example", "bu\u0308cher.example", "xn--bcher-kva.example", "ｐｕｂｌｉｃ.example"],
)
async def test_public_hosts_pass(recorder: Recorder, host: str) -> None:
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, context(literals={"url": ""}), url=f"http://{host}/")
    assert raised.value.type == "http.connect" and recorder.connected in (["93.184.216.34"], ["93.184.216.35"])


@pytest.mark.parametrize("host", ["127.0.0.1", "①②⑦.0.0.1", "localhost", "127。0。0。1"])
async def test_what_the_operator_allows_is_reached_by_any_spelling(recorder: Recorder, server: Raw, host: str) -> None:
    allowed = context(literals={"url": ""}, allow_networks=("127.0.0.0/8", "::1/128"))
    assert (await call(actions.Get, allowed, url=f"http://{host}:{server.port}/"))["body"] == "reached"
    assert recorder.connected[-1] == "127.0.0.1"


@pytest.mark.parametrize("address", PRIVATE[3:4] + PRIVATE[7:])
async def test_metadata_is_refused_even_when_the_author_wrote_it(recorder: Recorder, address: str) -> None:
    everything = context(allow_networks=("0.0.0.0/0", "::/0"))
    for host in spellings(address):
        with pytest.raises(StepFailed):
            await call(actions.Get, everything, url=f"http://{host}/")
    assert not {one for one in recorder.connected if "ff9b" not in one and one != "93.184.216.34"}


async def test_a_socket_is_judged_by_its_address() -> None:
    """Whatever way an address took past the look-up."""
    guard = _guard.Guard(frozenset({"own.example"}), ())
    for address in ("127.0.0.1", "::ffff:10.0.0.1", "169.254.169.254", "fe80::1%lo"):
        with pytest.raises(StepFailed):
            guard.socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)))


async def test_a_literal_host_gives_no_right_to_others(recorder: Recorder, server: Raw) -> None:
    server.answers["/"] = answer(b"", f"Location: http://localhost:{server.port}/", status="302 Found")
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, context(), url=f"http://own.example:{server.port}/")
    assert raised.value.type == "http.refused" and len(server.requests) == 1
