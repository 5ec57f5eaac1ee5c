"""A plugin that others start, at an address: with TLS, with certificates on both sides, and with what is wrong there."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.daemon import Daemon, eventually
from tests.host.test_host import ACTIONS, KINDS, call, make
from tests.services import free_port

TOKEN = "a-token-of-the-plugin"


@contextlib.contextmanager
def serving(folder: Path, port: int, **env: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "plugin.py"], cwd=folder, stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "REACTOR_PLUGIN_LISTEN": f"127.0.0.1:{port}", "REACTOR_PLUGIN_TOKEN": TOKEN, **env},
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    env = {"SHOP_TOKEN": TOKEN, "OTHER_TOKEN": "another", "PLUGIN_PROTOCOL": "grpc"}
    return Daemon(tmp_path, "--plugins", str(tmp_path / "plugins"), env=env)


def remote(daemon: Daemon, port: int, more: str = "", token: str = "SHOP_TOKEN") -> Path:
    folder = make(daemon, code=ACTIONS, kinds=KINDS)
    manifest = f"plugin: shop\nprotocol: grpc\naddress: 127.0.0.1:{port}\ntoken: {token}\ntimeout: 3s\n{more}{KINDS}"
    (folder / "plugin.yaml").write_text(manifest)
    daemon.flow("echo.yaml", call("echo", "{text: a}"))
    return folder


def test_in_the_clear_on_the_loopback_and_back_after_it_was_gone(daemon: Daemon) -> None:
    port = free_port()
    folder = remote(daemon, port)
    with daemon:
        with serving(folder, port):
            first = daemon.post("/hooks/echo?wait", {}).json["pid"]
        error = daemon.post("/hooks/echo?wait=30s", {}).json["error"]
        assert (error["type"], error["retryable"]) == ("plugin.down", True)
        with serving(folder, port):
            eventually(
                lambda: daemon.post("/hooks/echo?wait=30s", {}).json.get("pid", first) != first, 60, "it is not back"
            )
        assert daemon.stop() == 0


@pytest.mark.parametrize("both", [False, True], ids=["tls", "mtls"])
def test_with_certificates(daemon: Daemon, tmp_path: Path, both: bool) -> None:
    authority = trustme.CA()
    server, client = authority.issue_cert("plugin.example"), authority.issue_cert("reactor.example")
    port = free_port()
    more = "tls: {ca: ca.pem, name: plugin.example%s}\n" % (", cert: client.pem, key: client.key" if both else "")
    folder = remote(daemon, port, more)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    env = {
        "REACTOR_PLUGIN_TLS_CERT": str(tmp_path / "server.pem"),
        "REACTOR_PLUGIN_TLS_KEY": str(tmp_path / "server.key"),
    }
    if both:
        env["REACTOR_PLUGIN_TLS_CA"] = str(folder / "ca.pem")
    with serving(folder, port, **env), daemon:
        assert daemon.post("/hooks/echo?wait", {}).json["input"] == {"text": "a"}
        assert daemon.stop() == 0


def test_a_host_without_a_certificate_or_trust_is_told(daemon: Daemon, tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    server = authority.issue_cert("plugin.example")
    port = free_port()
    folder = remote(daemon, port, "tls: {ca: ca.pem, name: plugin.example}\n")
    stranger.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    env = {
        "REACTOR_PLUGIN_TLS_CERT": str(tmp_path / "server.pem"),
        "REACTOR_PLUGIN_TLS_KEY": str(tmp_path / "server.key"),
    }
    with serving(folder, port, **env), daemon:
        error = daemon.post("/hooks/echo?wait=30s", {}).json["error"]
        assert error["type"] == "plugin.down"
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("token", "said"), [("OTHER_TOKEN", "unauthenticated"), ("NO_TOKEN", "NO_TOKEN with its token is not set")]
)
def test_a_wrong_token_is_refused_with_the_reason(daemon: Daemon, token: str, said: str) -> None:
    port = free_port()
    folder = remote(daemon, port, token=token)
    with serving(folder, port), daemon:
        eventually(lambda: said in str(daemon.get("/api/v1/plugins")["items"][0]["error"]), 30, "no reason is shown")
        assert daemon.stop() == 0
