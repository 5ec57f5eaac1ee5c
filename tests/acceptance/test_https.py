"""The daemon over TLS, for foreign clients and for the command line; and behind a proxy that ends it."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from websockets.sync.client import connect

from tests.daemon import Daemon
from tests.secure import Papers
from tests.server.raw import ask

FLOW = "flow: hello\nwhen: [{http: POST /hello}]\ndo: [{set: {a: 1}}]\n"
TOKEN = "0123456789abcdefghij"


@pytest.fixture(scope="module")
def papers() -> Iterator[Papers]:
    made = Papers()
    yield made
    made.close()


@pytest.fixture(scope="module")
def others() -> Iterator[Papers]:
    made = Papers()
    yield made
    made.close()


def trusting(papers: Papers) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(papers.ca))


def get(port: int, path: str, context: ssl.SSLContext, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def serial(port: int, context: ssl.SSLContext) -> str:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        found = secure.getpeercert()
        assert found is not None
        return str(found["serialNumber"])


def tls(folder: Path, papers: Papers, *options: str, **more: Any) -> Daemon:
    """With copies of the papers, that a test may change."""
    shutil.copy(papers.cert, folder / "cert.pem")
    shutil.copy(papers.key, folder / "key.pem")
    one = Daemon(folder, "--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"), *options, **more)
    one.flow("hello.yaml", FLOW)
    return one


def test_both_addresses_speak_tls_and_nothing_else(tmp_path: Path, papers: Papers) -> None:
    with tls(tmp_path, papers, "--admin-listen", "127.0.0.1:0") as daemon:
        started = daemon.wait_log("daemon.started")
        assert started["url"].startswith("https://") and started["admin"].startswith("https://")
        admin = int(started["admin"].rpartition(":")[2])
        assert get(admin, "/healthz", trusting(papers))[0] == 200
        assert get(daemon.port, "/hooks/hello", trusting(papers))[0] == 405
        with pytest.raises(ssl.SSLCertVerificationError):
            get(admin, "/healthz", ssl.create_default_context())
        old = trusting(papers)
        with pytest.warns(DeprecationWarning):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            get(admin, "/healthz", old)
        new = trusting(papers)
        new.minimum_version = ssl.TLSVersion.TLSv1_3
        assert get(admin, "/healthz", new)[0] == 200
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP/1.1 200")
        with connect(f"wss://127.0.0.1:{admin}/api/v1/ws", ssl=trusting(papers)) as client:
            run = get_hook(daemon.port, papers)
            while True:
                told = json.loads(client.recv(timeout=30))
                if told["event"] == "run.ended":
                    assert told["data"]["run"] == run
                    break
        assert not [
            fact for fact in daemon.facts() if fact["fact"] in ("listen.plain", "library.log", "request.failed")
        ]
        assert b"Traceback" not in daemon.log.read_bytes()


def get_hook(port: int, papers: Papers) -> str:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=trusting(papers))
    connection.request("POST", "/hooks/hello", b"{}", {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["runs"][0]["id"])


def test_the_certificate_is_read_again(tmp_path: Path, papers: Papers, others: Papers) -> None:
    with tls(tmp_path, papers) as daemon:
        assert daemon.process is not None
        first = serial(daemon.port, trusting(papers))
        kept = http.client.HTTPSConnection("127.0.0.1", daemon.port, timeout=30, context=trusting(papers))
        kept.request("GET", "/healthz")
        assert kept.getresponse().read()
        shutil.copy(others.cert, tmp_path / "cert.pem")
        place = daemon.log.stat().st_size
        daemon.process.send_signal(signal.SIGHUP)
        refused = daemon.wait_log("tls.refused", place)
        assert "--tls-cert" in refused["error"] and "--tls-key" in refused["error"], "the key is another's"
        assert serial(daemon.port, trusting(papers)) == first
        shutil.copy(others.key, tmp_path / "key.pem")
        place = daemon.log.stat().st_size
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("tls.loaded", place)
        assert serial(daemon.port, trusting(others)) != first
        with pytest.raises(ssl.SSLCertVerificationError):
            serial(daemon.port, trusting(papers))
        kept.request("GET", "/healthz")
        assert kept.getresponse().status == 200, "connections that are open go on"
        kept.close()


def test_clients_show_a_certificate(tmp_path: Path, papers: Papers, others: Papers) -> None:
    authority = tmp_path / "clients.pem"
    shutil.copy(papers.ca, authority)
    with tls(tmp_path, papers, "--tls-client-ca", str(authority)) as daemon:
        assert daemon.process is not None
        assert get(daemon.port, "/healthz", papers.client())[0] == 200
        strangers = trusting(papers)
        strangers.load_cert_chain(others.own_cert, others.own_key)
        for context in (trusting(papers), strangers):
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
                get(daemon.port, "/healthz", context)
        server = f"https://127.0.0.1:{daemon.port}"
        own = ["--server-cert", str(papers.own_cert), "--server-key", str(papers.own_key)]
        done = daemon.cli("runs", "--server", server, "--server-ca", str(papers.ca), *own)
        assert done.returncode == 0, done.stderr
        done = daemon.cli("runs", "--server", server, "--server-ca", str(papers.ca))
        assert done.returncode == 3 and len(done.stderr.splitlines()) == 1, done.stderr
        shutil.copy(others.ca, authority)
        place = daemon.log.stat().st_size
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("tls.loaded", place)
        assert get(daemon.port, "/healthz", strangers)[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            get(daemon.port, "/healthz", papers.client())


def test_the_command_line_over_https(tmp_path: Path, papers: Papers) -> None:
    with tls(tmp_path, papers, env={"REACTOR_ADMIN_TOKEN": TOKEN}) as daemon:
        server = f"https://localhost:{daemon.port}"
        untrusted = daemon.cli("flows", "--server", server)
        assert untrusted.returncode == 3 and "is not trusted" in untrusted.stderr and "--server-ca" in untrusted.stderr
        assert len(untrusted.stderr.splitlines()) == 1
        found = daemon.cli("flows", "--server", server, "--server-ca", str(papers.ca))
        assert found.returncode == 0 and "hello" in found.stdout
        daemon.env |= {"REACTOR_SERVER": server, "REACTOR_SERVER_CA": str(papers.ca)}
        assert daemon.cli("send", "greeted").returncode == 0
        assert daemon.cli("queues", "push", "q", "--data", "1").returncode == 0
        daemon.env["REACTOR_SERVER_CA"] = str(tmp_path / "none.pem")
        wrong = daemon.cli("flows")
        assert wrong.returncode == 1 and "--server-ca" in wrong.stderr and len(wrong.stderr.splitlines()) == 1
        for odd in ("ftp://x", "https://", "http://[::1", "http://x:port"):
            wrong = daemon.cli("flows", "--server", odd)
            assert wrong.returncode == 1 and "--server" in wrong.stderr and len(wrong.stderr.splitlines()) == 1, odd


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--tls-cert", "CERT"], 2, "--tls-cert and --tls-key belong together"),
        (["--tls-key", "KEY"], 2, "--tls-cert and --tls-key belong together"),
        (["--tls-client-ca", "CA"], 2, "--tls-client-ca needs"),
        (["--tls-cert", "none.pem", "--tls-key", "KEY"], 1, "--tls-cert none.pem cannot be read"),
        (["--tls-cert", "CERT", "--tls-key", "OTHER"], 1, "--tls-key"),
        (["--tls-cert", "CERT", "--tls-key", "LOCKED"], 1, "without a password"),
        (["--tls-cert", "words.pem", "--tls-key", "KEY"], 1, "words.pem"),
        (["--tls-cert", "CERT", "--tls-key", "KEY", "--tls-client-ca", "words.pem"], 1, "--tls-client-ca words.pem"),
        (["--behind-proxy", "nginx"], 2, "--behind-proxy nginx"),
    ],
)
def test_bad_papers_are_one_line(
    tmp_path: Path, papers: Papers, others: Papers, options: list[str], code: int, said: str
) -> None:
    key = serialization.load_pem_private_key(papers.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    (tmp_path / "words.pem").write_text("these are words\n")
    files = {"CERT": papers.cert, "KEY": papers.key, "OTHER": others.key, "CA": papers.ca, "LOCKED": locked}
    daemon = Daemon(tmp_path, *[str(files.get(option, option)) for option in options])
    daemon.start(wait=False)
    assert daemon.process is not None and daemon.process.wait(30) == code
    lines = daemon.log.read_text().strip().splitlines()
    assert len(lines) == 1 and said in lines[0], lines


@pytest.mark.parametrize("options", [[], ["--behind-proxy", "127.0.0.1"], ["tls"]])
def test_off_the_loopback_an_open_line_is_warned_of(tmp_path: Path, papers: Papers, options: list[str]) -> None:
    given = ["--tls-cert", str(papers.cert), "--tls-key", str(papers.key)] if options == ["tls"] else options
    outside = ["--listen", "0.0.0.0:0", *given]
    with Daemon(tmp_path, *outside, env={"REACTOR_ADMIN_TOKEN": TOKEN}) as daemon:
        warned = [fact for fact in daemon.facts() if fact["fact"] == "listen.plain"]
        assert len(warned) == (0 if options else 1)
        if warned:
            assert warned[0]["level"] == "warning" and "--tls-cert" in warned[0]["message"]
            assert "--behind-proxy" in warned[0]["message"] and "0.0.0.0" in warned[0]["message"]


class Proxy(http.server.ThreadingHTTPServer):
    """Ends the path `/base` and says on whose behalf it asks."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.behind = port
        self.says: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), Forward)


class Forward(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if not self.path.startswith("/base/"):
            self.send_error(404)
            return
        inner = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        headers = {**dict(self.headers.items()), **self.server.says}
        inner.request(self.command, self.path.removeprefix("/base"), self.rfile.read(length), headers)
        answer = inner.getresponse()
        raw = answer.read()
        inner.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_POST = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """Not here."""


@pytest.mark.parametrize("end", ["/base", "/base/"])
def test_the_command_line_keeps_the_path_of_its_server(tmp_path: Path, end: str) -> None:
    one = Daemon(tmp_path)
    one.flow("hello.yaml", FLOW)
    with one as daemon, Proxy(daemon.port) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        server = f"http://127.0.0.1:{proxy.server_port}{end}"
        found = daemon.cli("flows", "--server", server)
        assert found.returncode == 0 and "hello" in found.stdout, found.stderr
        started = daemon.cli("start", "hello", "--wait", "--server", server)
        assert "there is no flow" not in started.stderr and "no daemon" not in started.stderr
        assert daemon.cli("send", "greeted", "--server", server).returncode == 0
        proxy.shutdown()


def test_whom_a_named_proxy_speaks_for(tmp_path: Path) -> None:
    one = Daemon(tmp_path, "--behind-proxy", "127.0.0.1", env={"REACTOR_ADMIN_TOKEN": TOKEN})
    with one as daemon:
        bearer = b"Authorization: Bearer " + TOKEN.encode()
        wrong = b"Authorization: Bearer wrong"
        for line in (b"Forwarded: for=192.0.2.1", b"X-Forwarded-For: 192.0.2.2"):
            assert ask(daemon.port, b"/api/v1/runs", wrong, line, method=b"GET", body=None).status == 401
        for address in ("192.0.2.1", "192.0.2.2"):
            daemon.wait_log("auth.failed", address=address, reason="wrong_token")
        foreign = (bearer, b"X-Forwarded-For: 192.0.2.2", b"X-Forwarded-Host: shop.example")
        assert ask(daemon.port, b"/api/v1/runs", *foreign, method=b"GET", body=None).status == 403
        assert ask(daemon.port, b"/api/v1/runs", bearer, method=b"GET", body=None).status == 200


def test_a_proxy_on_this_machine_does_not_make_its_clients_local(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--behind-proxy", "127.0.0.1") as daemon:
        assert ask(daemon.port, b"/api/v1/runs", method=b"GET", body=None).status == 200
        for line in (b"Forwarded: for=192.0.2.1", b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: 127.0.0.1"):
            assert ask(daemon.port, b"/api/v1/runs", line, method=b"GET", body=None).status == 403, line
