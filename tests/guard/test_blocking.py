"""What blocks the loop is found when the product does it, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from tests.guard import blocking

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    yield
    blocking.taken()


CALLS: dict[str, str] = {
    "sleep": "import time; time.sleep(0.001)",
    "program": "import subprocess; subprocess.run(['sleep', '0.1'])",
    "thread": "import threading; t = threading.Thread(target=threading.Event().wait, args=(0.05,)); t.start(); t.join()",
    "event": "import threading; threading.Event().wait(0.001)",
    "future": "import concurrent.futures as f; p = f.ThreadPoolExecutor(); p.submit(__import__('time').sleep, 0.05).result()",
    "socket": "import socket; a, b = socket.socketpair(); a.sendall(b'x'); b.recv(1); a.close(); b.close()",
    "resolver": "import socket; socket.getaddrinfo('127.0.0.1', 80)",
}


@pytest.mark.parametrize("code", CALLS.values(), ids=CALLS)
@pytest.mark.usefixtures("nothing_is_left")
async def test_a_blocking_call_of_the_product_is_found(code: str) -> None:
    exec(compile(code, f"{blocking.ROOT}/plugins/made_up.py", "exec"), {})
    found = blocking.taken()
    assert found and all("on the event loop" in one and "plugins/made_up.py" in one for one in found)


async def test_what_does_not_block_or_is_elsewhere_is_not() -> None:
    own = compile("".join(f"{code}\n" for code in CALLS.values()), __file__, "exec")
    exec(own, {})
    made = compile(CALLS["sleep"], f"{blocking.ROOT}/plugins/made_up.py", "exec")
    await anyio.to_thread.run_sync(exec, made, {})
    still = "import socket, time; a, b = socket.socketpair(); a.setblocking(False); a.send(b'x'); time.sleep(0); a.close(); b.close()"
    exec(compile(still, f"{blocking.ROOT}/plugins/made_up.py", "exec"), {})
    assert blocking.taken() == []
