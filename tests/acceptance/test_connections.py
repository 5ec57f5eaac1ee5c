"""Connections and secrets in the real daemon: loaded, shared, checked, reloaded; and no secret in any output."""

from __future__ import annotations

import base64
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, eventually
from tests.mail import MailServer

CANARY = 'canary/S3cret+"value"&ü=42'


def at(shift: int, urlsafe: bool) -> str:
    """What of it stays the same in base64, whatever stands around it."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    whole = encode(b"\xff" * shift + CANARY.encode() + b"\xff\xff").decode()
    return whole[shift + 1 if shift else 0 : (shift + len(CANARY.encode())) * 4 // 3]


FORMS = {
    "plain": CANARY,
    **{f"base64 at {shift} {urlsafe}": at(shift, urlsafe) for shift in range(3) for urlsafe in (True, False)},
    "base64url padded": base64.urlsafe_b64encode(CANARY.encode()).decode(),
    "hex upper": CANARY.encode().hex().upper(),
    "url with slashes": urllib.parse.quote(CANARY),
    "json twice": json.dumps(json.dumps(CANARY))[3:-3],
    "json in utf-8": json.dumps(CANARY, ensure_ascii=False)[1:-1],
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "base64url": base64.urlsafe_b64encode(CANARY.encode()).decode().rstrip("="),
    "basic": base64.b64encode(f"ada:{CANARY}".encode()).decode(),
    "hex": CANARY.encode().hex(),
    "url": urllib.parse.quote(CANARY, safe=""),
    "url lower": re.sub("%..", lambda m: m.group().lower(), urllib.parse.quote(CANARY, safe="")),
    "form": urllib.parse.quote_plus(CANARY),
    "json": json.dumps(CANARY)[1:-1],
}


class Api(http.server.ThreadingHTTPServer):
    """Answers every request with what it got, the canary in all its forms included."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str]]] = []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                if self.path.startswith("/base/redirect"):
                    self.send_response(302)
                    self.send_header("Location", f"http://localhost:{api.server_port}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = json.dumps({"forms": FORMS, "headers": dict(self.headers), "path": self.path}).encode()
                self.send_response(500 if "fail" in self.path else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                return None

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def leaks(text: str) -> list[str]:
    return [name for name, form in FORMS.items() if form in text]


def test_no_output_has_the_canary(tmp_path: Path, api: Api) -> None:
    daemon = Daemon(tmp_path, "--log-level", "debug", "--allow", "shell", env={"REACTOR_SECRET_CANARY": CANARY})
    (daemon.flows / "connections").mkdir()
    daemon.flow(
        "refuses.yaml",
        "flow: refuses\nwhen: [{http: {path: /refuses, verify: {basic: {user: ada, password: canary}}, accepts: {type: object, required: [b]}}}]\ndo: []\n",
    )
    daemon.flow(
        "connections/api.yaml",
        f"kind: http\nsettings:\n  url: http://127.0.0.1:{api.server_port}/base\n"
        "  auth: {user: ada, password: '${{ secrets.canary }}'}\n",
    )
    step = "call: http.get, with: {url: '%s', connection: api}"
    daemon.flow(
        "all.yaml",
        "flow: all\nwhen: [{http: {path: /all, verify: {basic: {user: ada, password: canary}}}}]\ndo:\n"
        f"  - {{id: ok, {step % '/ok'}}}\n"
        f"  - {{id: own, call: http.get, with: {{url: 'http://127.0.0.1:{api.server_port}/own', "
        "query: {key: '${{ secrets.canary }}'}}}\n"
        f"  - {{{step % '/fail'}, on_error: [{{set: {{seen: '${{{{ error }}}}'}}}}]}}\n"
        "  - {call: log, with: {message: 'the key is ${{ secrets.canary }}', fields: {key: '${{ secrets.canary }}'}}}\n"
        "  - {call: shell.run, with: {argv: [sh, -c, 'printf %480s%s x \"$K\" >&2; exit 1'], env: {K: '${{ secrets.canary }}'}}, "
        "on_error: [{set: {tail: '${{ error.message }}'}}]}\n"
        "  - {call: http.get, with: {url: 'http://127.0.0.1:1/${{ secrets.canary }}'}, on_error: [{set: {url: '${{ error }}'}}]}\n"
        "  - {call: http.get, with: {url: 'ftp://127.0.0.1/${{ secrets.canary }}'}, on_error: [{set: {ftp: '${{ error }}'}}]}\n"
        "output: {ok: '${{ steps.ok.body }}', own: '${{ steps.own }}', seen: '${{ vars.seen }}'}\n",
    )
    outputs: dict[str, str] = {}
    with daemon:
        headers = {"Authorization": "Basic " + base64.b64encode(f"ada:{CANARY}".encode()).decode()}
        answer = daemon.post("/hooks/all?wait", {"a": 1}, headers=headers)
        assert answer.status == 200, answer.raw
        assert set(answer.json["ok"]["forms"].values()) == {"***"} or not leaks(answer.raw.decode())
        assert api.got[0][1]["authorization"] == "Basic " + base64.b64encode(f"ada:{CANARY}".encode()).decode()
        assert daemon.post("/hooks/all", {}, headers={"Authorization": "Bearer wrong"}).status == 401
        outputs["answer"] = answer.raw.decode()
        outputs["refused"] = daemon.post("/hooks/refuses", {"a": 1}, headers=headers).raw.decode()
        run = answer.headers["location"]
        paths = [
            run, f"{run}/steps", "/api/v1/runs", "/api/v1/events", "/api/v1/flows", "/api/v1/flows/all", "/readyz",
            "/api/v1/connections", "/api/v1/triggers", "/api/v1/flows/all/versions", "/metrics", "/openapi.json",
            "/api/v1/dead-letters", "/api/v1/stats", "/api/v1/queues", "/api/v1/plugins", "/api/v1/webhooks",
        ]  # fmt: skip
        for path in paths:
            outputs[path] = daemon.request("GET", path).raw.decode()
        for command in (
            ["runs", "show", run.rpartition("/")[2]],
            ["flows"],
            ["triggers"],
            ["connections"],
            ["run", "--show-config"],
            ["runs", "list"],
            ["runs", "show", run.rpartition("/")[2], "--json"],
            ["events", "list"],
            ["dead-letters", "list"],
            ["queues", "list"],
            ["doctor"],
            ["check", str(daemon.flows)],
            ["check", "--connect", str(daemon.flows)],
            ["top", "--once"],
        ):
            done = daemon.cli(*command)
            outputs[" ".join(command)] = done.stdout + done.stderr
        assert daemon.stop() == 0
    outputs["log"] = daemon.log.read_text()
    assert "the key is ***" in outputs["log"]
    for path in daemon.data.rglob("*"):
        if path.is_file():
            outputs[str(path)] = path.read_bytes().decode("utf-8", "replace")
    assert len(outputs) > 15
    assert {name: found for name, text in outputs.items() if (found := leaks(text))} == {}


PASSWORD = "pa/ss#wd?x@y:z9"
INLINE = "hunter/2#secret"
PIECES = ("pa/ss", "ss#wd", "wd?x", "y:z9", "hunter", "'pa'", "2#secret", "'hunter'", "secret@")
URLS = {
    "redis": ("redis://:%s@127.0.0.1:1/0", "channel: x", "call: redis.get, with: {connection: named-redis, key: a}"),
    "mqtt": ("mqtt://u:%s@127.0.0.1:1", "topic: x", None),
    "nats": ("nats://u:%s@127.0.0.1:1", "subject: x", "call: nats.publish, with: {connection: named-nats, subject: a, data: 1}"),
    "amqp": ("amqp://u:%s@127.0.0.1:1/", "queue: x", "call: amqp.publish, with: {connection: named-amqp, queue: a, data: 1}"),
    "postgres": ("postgresql://u:%s@127.0.0.1:1/db", None, "call: sql.query, with: {connection: named-postgres, query: select 1}"),
    "mysql": ("mysql://u:%s@127.0.0.1:1/db", None, "call: sql.query, with: {connection: named-mysql, query: select 1}"),
}  # fmt: skip


def test_a_password_with_slashes_is_understood_and_shown_nowhere(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--log-level", "debug", env={"REACTOR_SECRET_PW": PASSWORD})
    (daemon.flows / "connections").mkdir()
    for kind, (url, trigger, call) in URLS.items():
        if call is not None:
            named = url % "${{ secrets.pw }}"
            daemon.flow(f"connections/named-{kind}.yaml", f"kind: {kind}\nsettings: {{url: '{named}'}}\n")
            daemon.flow(f"use-{kind}.yaml", f"flow: use-{kind}\nwhen: [{{http: POST /{kind}}}]\ndo: [{{{call}}}]\n")
        if trigger is not None:
            daemon.flow(
                f"inline-{kind}.yaml",
                f"flow: inline-{kind}\nwhen: [{{{kind}: {{connection: '{url % INLINE}', {trigger}}}}}]\ndo: [{{set: {{a: 1}}}}]\n",
            )
    query = "redis://127.0.0.1:1/0?password=hunter2secret"
    daemon.flow(
        "inline-query.yaml",
        f"flow: inline-query\nwhen: [{{redis: {{connection: '{query}', channel: x}}}}]\ndo: [{{set: {{a: 1}}}}]\n",
    )
    outputs: dict[str, str] = {}
    with daemon:
        for kind, (_, _, call) in URLS.items():
            if call is not None:
                outputs[f"answer {kind}"] = (answer := daemon.post(f"/hooks/{kind}?wait", {})).raw.decode()
                assert answer.json["error"]["type"] == "connection.down"
        sources = [f"inline-{kind}" for kind, (_, trigger, _) in URLS.items() if trigger] + ["inline-query"]
        eventually(
            lambda: {f["kind"] for f in daemon.facts() if f["fact"] == "connection.lost" and "***" in f["connection"]} >= {"redis", "mqtt", "nats", "amqp"},
            30, "the sources did not try",
        )  # fmt: skip
        paths = [
            "/api/v1/runs",
            "/api/v1/events",
            "/api/v1/flows",
            "/readyz",
            "/api/v1/connections",
            "/api/v1/triggers",
            "/metrics",
        ]
        for path in [*paths, *[f"/api/v1/flows/{flow}{more}" for flow in sources for more in ("", "/versions")]]:
            outputs[path] = daemon.request("GET", path).raw.decode()
        for command in ("flows", "triggers", "connections", "connections --check", "runs list", "doctor"):
            done = daemon.cli(*command.split())
            outputs[command] = done.stdout + done.stderr
        for options in ([], ["--connect"]):
            done = daemon.cli("check", *options, str(daemon.flows))
            outputs[f"check {options}"] = done.stdout + done.stderr
        assert daemon.stop() == 0
    outputs["log"] = daemon.log.read_text()
    assert (
        "redis://***@127.0.0.1:1/0" in outputs["/api/v1/triggers"]
        and "redis://***@127.0.0.1:1/0" in outputs["/api/v1/flows/inline-redis"]
    )
    assert {name: found for name, text in outputs.items() if (found := [one for one in PIECES if one in text])} == {}


def test_a_connection_is_checked_reloaded_and_left_by_nobody(tmp_path: Path, api: Api) -> None:
    daemon = Daemon(tmp_path, "--allow-network", "127.0.0.0/8", env={"REACTOR_SECRET_TOKEN": "a-secret-token"})
    (daemon.flows / "connections").mkdir()
    text = "kind: http\nsettings:\n  url: http://127.0.0.1:%d/base\n  headers: {X-Key: '${{ secrets.token }}', X-Who: '%s'}\n"
    daemon.flow("connections/api.yaml", text % (api.server_port, "one"))
    daemon.flow(
        "get.yaml",
        "flow: get\nwhen: [{http: POST /get}]\ndo:\n  - {id: a, call: http.get, with: {connection: api, url: '${{ event.body.url }}'}}\n"
        "output: ${{ steps.a.body.path }}\n",
    )
    with daemon:
        assert daemon.post("/hooks/get?wait", {"url": "/x?q=1"}).json == "/base/x?q=1"
        assert api.got[-1][1]["x-key"] == "a-secret-token" and api.got[-1][1]["x-who"] == "one"
        for url in (
            "http://127.0.0.1:1/",
            f"http://evil.example:{api.server_port}/",
            "//evil.example/",
            "http://a@127.0.0.1/",
        ):
            answer = daemon.post("/hooks/get?wait", {"url": url})
            if answer.status == 200:
                assert answer.json == "/base/" + url.lstrip("/"), url
            else:
                assert answer.json["error"]["type"] in ("http.refused", "http.connect"), (url, answer.json)
        daemon.post("/hooks/get?wait", {"url": "/redirect"})
        path, headers = api.got[-1]
        assert path == "/elsewhere" and "x-key" not in headers, "a redirect elsewhere takes no header along"
        (item,) = daemon.get("/api/v1/connections")["items"]
        assert (
            item["name"] == "api" and item["kind"] == "http" and item["state"] == "connected" and "settings" not in item
        )
        done = daemon.cli("connections", "--check")
        assert done.returncode == 0 and "connected" in done.stdout, done.stderr
        daemon.flow("connections/api.yaml", text % (api.server_port, "two"))

        def seen() -> bool:
            daemon.post("/hooks/get?wait", {"url": "/x"})
            return api.got[-1][1].get("x-who") == "two"

        eventually(seen, 10, "the new settings were not used")
        place = daemon.log.stat().st_size
        daemon.flow("connections/api.yaml", "kind: http\nsettings: {url: 7, heders: {}}\n")
        refused = daemon.wait_log("flow.refused", place)
        assert "api.yaml" in refused["message"]
        assert seen(), "the last good settings go on"
        api.shutdown()
        api.server_close()
        assert daemon.cli("connections", "--check").returncode == 1
        assert "api" in daemon.get("/readyz")["connections"]


def test_check_names_what_is_wrong_with_connections(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    folder = daemon.flows / "connections"
    folder.mkdir()
    files = {
        "a.yaml": ("kind: htp\n", "there is no kind of connection htp (did you mean http?)"),
        "b.yaml": ("kind: smtp\nsettings: {prot: 1}\n", "has no option prot (did you mean port?)"),
        "c.yaml": ("kind: smtp\nsettings: {host: h, user: u}\n", "user and password belong together"),
        "d.yaml": ("settings: {}\n", "a connection has a `kind`"),
        "e.yaml": (
            "kind: http\nsettings: {url: '${{ event.x }}'}\n",
            "a connection may read secrets and env, not event",
        ),
        "f.yaml": ("kind: http\nsettings: {url: 'ftp://x'}\n", "only http and https"),
        "G.yaml": ("kind: http\nsettings: {url: 'http://x'}\n", "is not made of a-z, 0-9 and -"),
        "h.yaml": ("connection: dup\nkind: http\nsettings: {url: 'http://x'}\n", ""),
        "i.yaml": ("connection: dup\nkind: http\nsettings: {url: 'http://x'}\n", "the connection dup is already in"),
        "j.yaml": ("", "the file is empty"),
        "k.yaml": ("kind: http\n---\nkind: http\n", "each need their name"),
    }
    for name, (text, _) in files.items():
        (folder / name).write_text(text)
    step = "flow: f%d\nwhen: [manual]\ndo: [{call: %s, with: {%s}}]\n"
    mail = "to: a@b.c, subject: s, text: t"
    flows = {
        "1.yaml": (
            step % (1, "http.get", "url: /x, connection: dupp"),
            "there is no connection dupp (did you mean dup?)",
        ),
        "2.yaml": (
            step % (2, "email.send", mail + ", connection: dup"),
            "the connection dup is of the kind http, not smtp",
        ),
        "3.yaml": (step % (3, "email.send", mail), "there is no connection email"),
        "4.yaml": (
            step % (4, "email.send", mail + ', connection: "${{ event.data.c }}"'),
            "connection is a name, written out",
        ),
        "5.yaml": (step % (5, "email.send", mail + ", connection: 'redis://x'"), "it takes one of smtp, smtps"),
    }
    for name, (text, _) in flows.items():
        (daemon.flows / name).write_text(text)
    done = daemon.cli("check", str(daemon.flows))
    assert done.returncode == 1
    for name, (_, message) in {**files, **flows}.items():
        if message:
            assert any(f"/{name}:" in line and message in line for line in done.stdout.splitlines()), (
                name,
                done.stdout,
            )
    alone = daemon.cli("check", str(folder / "b.yaml"))
    assert alone.returncode == 1 and "prot" in alone.stdout


def test_mail_goes_out_and_check_connect_tries_it(tmp_path: Path) -> None:
    with MailServer(tmp_path) as server:
        daemon = Daemon(tmp_path, env={"REACTOR_SECRET_MAIL": "s3cret-pass/word", "PORT": str(server.port)})
        (daemon.flows / "connections").mkdir()
        text = (
            "kind: smtp\nsettings: {host: localhost, port: '${{ env.PORT }}', user: ada, password: '${{ secrets.mail }}', "
            f"ca: {server.ca}, sender: r@shop.example}}\n"
        )
        daemon.options = ("--env", "PORT")
        daemon.flow("connections/email.yaml", text)
        daemon.flow(
            "mail.yaml",
            "flow: mail\nwhen: [{http: POST /mail}]\ndo:\n"
            "  - {id: m, call: email.send, with: {to: '${{ event.body.to }}', subject: Hi, text: there}}\n"
            "output: ${{ steps.m.accepted }}\n",
        )
        good = daemon.cli("check", "--connect", "--env", "PORT", str(daemon.flows))
        assert good.returncode == 0 and "email (smtp) answers" in good.stderr, good.stderr + good.stdout
        with daemon:
            first = daemon.post("/hooks/mail?wait", {"to": "a@b.c"})
            assert first.json == ["a@b.c"], first.raw
            for n in range(10):
                assert daemon.post("/hooks/mail?wait", {"to": f"a{n}@b.c"}).status == 200
        assert len(server.inbox.mails) == 11
        daemon.env["REACTOR_SECRET_MAIL"] = "wrong-password"
        bad = daemon.cli("check", "--connect", "--env", "PORT", str(daemon.flows))
        assert bad.returncode == 1 and "email.yaml:1:1: email: " in bad.stdout, bad.stdout
        assert "wrong-password" not in bad.stdout + bad.stderr
