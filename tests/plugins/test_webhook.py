"""webhook.send against a receiver that checks with the standardwebhooks library."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from plugins.actions.webhook import WAITS, Send
from reactor.contracts.action import ActionSettings
from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import Retry
from reactor.engine.retry import delay
from tests.flows_help import plan
from tests.plugins.test_file import call, context

pytestmark = pytest.mark.anyio
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Memory:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def get(self, name: str) -> Any:
        return self.values.get(name)

    async def set(self, name: str, value: Any) -> None:
        self.values[name] = value


class Receiver(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return None

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


async def send(receiver: Receiver, folder: Path, memory: Memory, **more: Any) -> Any:
    here = context(folder)
    here.settings = ActionSettings()
    here.memory = memory
    url = f"http://127.0.0.1:{receiver.server_port}/in"
    return await call(Send, here, **{"url": url, "secret": SECRET, "type": "order.charged", "data": {"id": 7}, **more})


async def test_the_foreign_library_takes_it(receiver: Receiver, tmp_path: Path) -> None:
    first = await send(receiver, tmp_path, Memory(), secret=[OTHER, SECRET])
    second = await send(receiver, tmp_path, Memory())
    assert first["id"] == second["id"], "the same step has the same id over all tries"
    for headers, body in receiver.got:
        data = standardwebhooks.Webhook(SECRET).verify(body, headers)
        assert data["type"] == "order.charged" and data["data"] == {"id": 7}
    standardwebhooks.Webhook(OTHER).verify(receiver.got[0][1], receiver.got[0][0])


async def test_any_failure_is_tried_again_but_410_switches_off(receiver: Receiver, tmp_path: Path) -> None:
    memory = Memory()
    for status in (400, 404, 500, 302):
        receiver.status = status
        with pytest.raises(StepFailed) as caught:
            await send(receiver, tmp_path, memory)
        assert caught.value.retryable and caught.value.status == status
    receiver.status = 410
    with pytest.raises(StepFailed) as caught:
        await send(receiver, tmp_path, memory)
    assert caught.value.type == "webhook.gone" and not caught.value.retryable
    receiver.status, count = 204, len(receiver.got)
    with pytest.raises(StepFailed) as caught:
        await send(receiver, tmp_path, memory)
    assert caught.value.type == "webhook.disabled" and len(receiver.got) == count
    memory.values.clear()
    assert (await send(receiver, tmp_path, memory))["status"] == 204


async def test_what_is_no_secret(receiver: Receiver, tmp_path: Path) -> None:
    for secret in ("", "whsec_", "whsec_!!", "whsec_YWJj"):
        with pytest.raises(StepFailed) as caught:
            await send(receiver, tmp_path, Memory(), secret=secret)
        assert caught.value.type == "expression" and not receiver.got


def test_ten_tries_over_75_hours_unless_the_step_says_otherwise() -> None:
    step = "call: webhook.send\n    with: {url: 'https://a.example/', secret: s, type: a.b}\n"
    usual = plan(f"flow: a\nwhen: [manual]\ndo:\n  - {step}").do.steps[0].retry
    assert usual is not None and usual.times == 9 and usual.waits == WAITS
    assert 74 * 3600 < sum(WAITS) < 76 * 3600
    own = plan(f"flow: a\nwhen: [manual]\ndo:\n  - {step}    retry: {{times: 2, wait: [1s, 1m]}}").do.steps[0].retry
    assert own is not None and own.waits == (1.0, 60.0)
    none = plan(f"flow: a\nwhen: [manual]\ndo:\n  - {step}    retry: 0").do.steps[0].retry
    assert none is None or none.times == 0
    error: dict[str, Any] = {"details": {}}
    waits = [delay(Retry(9, waits=WAITS), "run", "do/0", attempt, error) for attempt in range(1, 10)]
    assert all(0.75 * w <= d <= w for w, d in zip(WAITS, waits, strict=True))
    assert delay(Retry(9, waits=WAITS), "run", "do/0", 1, {"details": {"retry_after": 7.0}}) == 7.0
