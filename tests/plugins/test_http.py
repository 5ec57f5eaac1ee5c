"""The http actions against a real server, and the outgoing guard against tricks."""

from __future__ import annotations

import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from plugins.actions import http as actions
from plugins.http_client.guard import is_literal, judge, split
from reactor.contracts.action import ActionContext, ActionSettings
from reactor.contracts.errors import StepFailed
from reactor.kit.clock import SystemClock

pytestmark = pytest.mark.anyio


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        status, headers, out = 200, {"Content-Type": "application/json"}, b""
        if path == "/echo":
            shown = {
                "method": self.command,
                "query": query,
                "body": body.decode(),
                "headers": {k.lower(): v for k, v in self.headers.items()},
            }
            out = msgspec.json.encode(shown)
        elif path == "/busy":
            status, headers = 503, {"Retry-After": "7"}
        elif path == "/to-echo":
            status, headers = 302, {"Location": "/echo"}
        elif path == "/to-metadata":
            status, headers = 302, {"Location": "http://169.254.169.254/latest"}
        elif path == "/round":
            status, headers = 302, {"Location": "/round"}
        elif path == "/large":
            out = b"x" * (9 * 1024 * 1024)
        elif path == "/lies":
            out = b"{no json"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(out)

    do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def context(folder: Path = Path("/"), **more: Any) -> ActionContext:
    settings = ActionSettings(allow_networks=more.pop("allow_networks", ()))
    return ActionContext(
        run="run_1", flow="f", step="s", attempt=1, idempotency_key="run_1/do/0/0", deadline=None, clock=SystemClock(),
        folder=str(folder), settings=settings, **more,
    )  # fmt: skip


async def call(cls: Any, ctx: ActionContext | None = None, **options: Any) -> Any:
    return await cls().run(msgspec.convert(options, cls.Options), ctx or context())


async def test_requests(url: str) -> None:
    found = await call(actions.Get, url=f"{url}/echo?a=1", query={"b": [1, "x y"], "c": None}, headers={"X-A": 5})
    assert found["status"] == 200 and found["body"]["query"] == "a=1&b=1&b=x+y"
    assert found["body"]["headers"]["x-a"] == "5"
    posted = await call(actions.Post, url=f"{url}/echo", json={"a": 1}, auth={"user": "u", "password": "p"})
    assert posted["body"]["body"] == '{"a":1}' and posted["body"]["headers"]["idempotency-key"] == "run_1/do/0/0"
    assert posted["body"]["headers"]["authorization"] == "Basic dTpw"
    assert (await call(actions.Get, url=f"{url}/to-echo"))["body"]["method"] == "GET"
    assert (await call(actions.Get, url=f"{url}/to-echo", follow=0, expect="3xx"))["status"] == 302
    assert (await call(actions.Head, url=f"{url}/echo"))["body"] is None


async def test_failures_say_what_and_whether_to_try_again(url: str, tmp_path: Path) -> None:
    async def failure(**options: Any) -> StepFailed:
        with pytest.raises(StepFailed) as raised:
            await call(actions.Get, context(tmp_path), **options)
        return raised.value

    busy = await failure(url=f"{url}/busy")
    assert (busy.type, busy.status, busy.retry_after, busy.retryable) == ("http.status", 503, 7.0, True)
    gone = await failure(url=f"{url}/echo", expect=[404])
    assert (gone.status, gone.type) == (200, "http.status")
    assert (await failure(url="http://127.0.0.1:9/x")).type == "http.connect"
    assert (await failure(url=f"{url}/round")).type == "http.redirects"
    assert (await failure(url=f"{url}/large")).type == "limit"
    assert (await failure(url=f"{url}/lies")).type == "http.content"
    assert (await failure(url="ftp://x/y")).type == "http.refused"
    assert (await failure(url=f"{url}/to-metadata")).type == "http.refused"
    assert (await failure(url=f"{url}/echo", headers={"A": "b\r\nC: d"})).type == "expression"
    saved = await call(actions.Get, context(tmp_path), url=f"{url}/large", save_to="big.bin")
    assert saved["size"] == 9 * 1024 * 1024 == (tmp_path / "big.bin").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["big.bin"]


async def test_a_computed_host_is_judged(url: str) -> None:
    computed = context(literals={"url": ""})
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, computed, url=f"{url}/echo")
    assert raised.value.type == "http.refused"
    with pytest.raises(StepFailed) as raised:
        await call(actions.Get, computed, url=f"{url.replace('127.0.0.1', 'localhost')}/echo")
    assert raised.value.type == "http.refused"
    allowed = context(literals={"url": ""}, allow_networks=("127.0.0.0/8",))
    assert (await call(actions.Get, allowed, url=f"{url}/echo"))["status"] == 200


TRICKS = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255", "192.0.2.1",
    "198.18.0.1", "::127.0.0.1", "64:ff9b:1::a00:1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", TRICKS)
async def test_private_ground_is_refused(address: str) -> None:
    assert judge(ipaddress.ip_address(address), False, []) is not None


async def test_public_addresses_pass_and_metadata_never() -> None:
    for address in ("93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"):
        assert judge(ipaddress.ip_address(address), False, []) is None
    everything = [ipaddress.ip_network("0.0.0.0/0")]
    assert judge(ipaddress.ip_address("169.254.169.254"), True, everything) is not None


@pytest.mark.parametrize(
    "bad", ["file:///etc/passwd", "gopher://x", "//x", "http://", "http://a b/", "http://x:99999/", "http://x\r\n/"]
)
async def test_urls_that_are_none(bad: str) -> None:
    with pytest.raises(StepFailed):
        split(bad)


async def test_what_counts_as_literal() -> None:
    assert is_literal("http://a.example/x", None)
    assert is_literal("http://a.example/x", "http://a.example/")
    assert not is_literal("http://a.example/x", "http://a.exam")
    assert not is_literal("http://a.example.evil/", "http://a.example")
    assert not is_literal("http://x@evil/", "http://x@evil/")


async def test_tls_options(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server_context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = server_context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    target = f"https://127.0.0.1:{server.server_port}/echo"
    try:
        assert (await call(actions.Get, context(tmp_path), url=target, tls={"ca": "ca.pem"}))["status"] == 200
        assert (await call(actions.Get, context(tmp_path), url=target, tls={"verify": False}))["status"] == 200
        with pytest.raises(StepFailed) as raised:
            await call(actions.Get, context(tmp_path), url=target)
        assert raised.value.type in ("http.tls", "http.connect")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
