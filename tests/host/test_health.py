"""A plugin over gRPC that hangs between calls: its health finds it, and its life ends, so that another one begins."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

import plugins.host.grpc as host
from plugins.host.life import begin
from plugins.host.link import Call
from plugins.host.manifest import load_manifest
from tests.daemon import Daemon
from tests.host.test_host import make

pytestmark = pytest.mark.anyio

CONTEXT = {"run": "r", "flow": "f", "step": "s", "attempt": 1, "idempotency_key": "k", "deadline": None}


async def refuse(event: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError("it publishes nothing")


async def test_a_plugin_that_answers_nothing_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "HEALTH", 0.1)
    monkeypatch.setattr(host, "ANSWER", 4.0)
    folder = make(Daemon(tmp_path, env={"PLUGIN_PROTOCOL": "grpc"}))
    manifest, hash = load_manifest(folder)
    life = await begin(manifest, hash, folder, refuse, lambda fact, **fields: None)
    assert life.process is not None
    reasons: list[str] = []

    async def live() -> None:
        reasons.append(await life.run())

    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(live)
                await life.link.handshake(hash)
                for _ in range(5):  # while it answers, nothing ends
                    done: Any = await life.link.act(Call(action="echo", input={"text": "a"}, context=CONTEXT))
                    assert done["input"] == {"text": "a"}
                    await anyio.sleep(0.1)
                assert not reasons
                os.kill(life.process.pid, signal.SIGSTOP)
    finally:
        life.kill()
        await life.close(0.0)
    assert reasons[0].startswith("it does not answer how it is")
