"""Programs as they behave: they leave children behind, write bytes, and cannot always be started."""

from __future__ import annotations

import base64
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from plugins.actions import script
from plugins.actions.shell import Run
from plugins.output import json_of
from plugins.program import start
from reactor.contracts.errors import StepFailed
from tests.plugins.test_file import call, context
from tests.waiting import soon

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def failure(cls: Any, folder: Path, **options: Any) -> StepFailed:
    with pytest.raises(StepFailed) as raised:
        await call(cls, context(folder), **options)
    return raised.value


def number(path: Path) -> int:
    return int(path.read_text())


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


BACKGROUND = "sleep 600 & echo $! > child; echo done; exit 0"


async def test_the_exit_decides_and_children_are_left_alone(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        result = await call(Run, context(tmp_path), argv=["sh", "-c", BACKGROUND])
    assert (result["exit_code"], result["stdout"]) == (0, "done\n")
    child = number(tmp_path / "child")
    assert lives(child)
    os.kill(child, signal.SIGKILL)
    with anyio.fail_after(20):
        result = await call(script.Shell, context(tmp_path), code=BACKGROUND.replace("echo done", "echo '[1]'"))
    assert result["json"] == [1]
    os.kill(number(tmp_path / "child"), signal.SIGKILL)


async def test_a_child_that_is_left_alone_may_go_on_writing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    code = "(read line < go; head -c 300000 /dev/zero; echo fine > written) & exit 0"
    assert (await call(Run, context(tmp_path), argv=["sh", "-c", code]))["exit_code"] == 0
    await anyio.to_thread.run_sync((tmp_path / "go").write_text, "now\n")
    await soon(
        lambda: (tmp_path / "written").exists() and (tmp_path / "written").read_text() == "fine\n", "nothing is written"
    )


@pytest.mark.parametrize("cls", [Run, script.Shell])
async def test_children_are_killed_when_the_step_says_so(tmp_path: Path, cls: Any) -> None:
    given = {"argv": ["sh", "-c", BACKGROUND]} if cls is Run else {"code": BACKGROUND}
    result = await call(cls, context(tmp_path), background="kill", **given)
    assert result["stdout"] == "done\n"
    await soon(lambda: not lives(number(tmp_path / "child")), "the child lives on")
    assert (await failure(cls, tmp_path, background="maybe", **given)).type == "expression"


async def test_a_cancelled_program_ends_with_its_children(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            code = "sleep 600 & echo $! > part; mv part child; wait"
            group.start_soon(lambda: call(Run, context(tmp_path), argv=["sh", "-c", code]))
            await soon((tmp_path / "child").exists, "there is no child")
            scope.cancel()
    await soon(lambda: not lives(number(tmp_path / "child")), "the child lives on")


async def test_it_inherits_three_descriptors(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        result = await call(Run, context(tmp_path), argv=["sh", "-c", "ls /proc/$$/fd"], stdin="x")
    assert result["stdout"].split() == ["0", "1", "2"]


async def test_output_that_is_not_utf8_is_shown_and_kept(tmp_path: Path) -> None:
    result = await call(Run, context(tmp_path), argv=["printf", r"caf\351"])
    assert result["stdout"] == "caf\\xe9" and base64.b64decode(result["stdout_bytes"]) == b"caf\xe9"
    assert "stderr_bytes" not in result
    failed = await failure(Run, tmp_path, argv=["sh", "-c", r"printf '\351' >&2; exit 3"])
    assert "ended with 3: \\xe9" in str(failed) and failed.details["stderr_bytes"] == "6Q=="


async def test_bytes_go_in_as_they_are(tmp_path: Path) -> None:
    result = await call(
        Run, context(tmp_path), argv=["sh", "-c", 'printf %s "$1$V"', "x", "\udce9"], env={"V": "\udcff"}
    )
    assert base64.b64decode(result["stdout_bytes"]) == b"\xe9\xff"


WRONG: list[dict[str, Any]] = [
    {"argv": []}, {"argv": [""]}, {"argv": ["a\0"]}, {"argv": ["echo", "\ud83d"]}, {"argv": ["cat"], "stdin": "\ud83d"},
    {"argv": ["true"], "env": {"": "a"}}, {"argv": ["true"], "env": {"A=B": "a"}}, {"argv": ["true"], "cwd": "a\0"},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG, ids=ascii)
async def test_what_no_program_can_be_given(tmp_path: Path, options: dict[str, Any]) -> None:
    failed = await failure(Run, tmp_path, **options)
    assert (failed.type, failed.retryable) == ("expression", False)


def program(path: Path, content: bytes, mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


async def test_why_a_program_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    cases = {
        program(tmp_path / "crlf", b"#!/bin/sh\r\necho hi\r\n"): "ends with a carriage return",
        program(tmp_path / "lost", b"#!/opt/none/bin/perl -w\n"): "needs the interpreter /opt/none/bin/perl",
        program(tmp_path / "data", b"\x00\x01\x02"): "is not a program of this machine",
        str(tmp_path / "none"): "there is no program",
        "no-such-program": "on the PATH",
        str(tmp_path / "folder"): "is a folder",
    }
    for name, words in cases.items():
        failed = await failure(Run, tmp_path, argv=[name])
        assert (failed.type, failed.retryable) == ("shell.start", False) and words in str(failed), (name, str(failed))
    plain = program(tmp_path / "plain", b"#!/bin/sh\n", 0o644)
    failed = await failure(Run, tmp_path, argv=[plain])
    assert not failed.retryable and ("not executable" in str(failed) or os.geteuid() != 0)
    failed = await failure(Run, tmp_path, argv=["true"], cwd="nowhere")
    assert "nowhere does not exist" in str(failed) and not failed.retryable
    failed = await failure(Run, tmp_path, argv=["echo", "x" * 200_000])
    assert "too large" in str(failed) and not failed.retryable
    found = await failure(Run, tmp_path, argv=["sh", "-c", "no-such-program-here"])
    assert (found.status, found.retryable) == (127, False)
    env = program(tmp_path / "env", b"#!/usr/bin/env no-such-language\n")
    assert not (await failure(Run, tmp_path, argv=[env])).retryable


async def test_why_a_script_cannot_run(tmp_path: Path) -> None:
    failed = await failure(script.Python, tmp_path, file="none.py")
    assert (failed.type, failed.retryable) == ("script.missing", False) and "none.py does not exist" in str(failed)
    program(tmp_path / "crlf.sh", b"#!/bin/sh\r\nif true; then\r\necho hi\r\nfi\r\n")
    failed = await failure(script.Shell, tmp_path, file="crlf.sh")
    assert "has Windows line ends" in str(failed)
    failed = await failure(script.Shell, tmp_path, code="cat", input={"a": "\ud83d"})
    assert (failed.type, failed.retryable) == ("expression", False)


async def test_a_relative_folder_starts_at_the_flow_s(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for cwd, folder in ((None, tmp_path), ("sub", tmp_path / "sub"), (str(tmp_path / "sub"), tmp_path / "sub")):
        result = await call(Run, context(tmp_path), argv=["pwd"], **({"cwd": cwd} if cwd else {}))
        assert result["stdout"].strip() == str(folder.resolve())
    assert (await call(script.Shell, context(tmp_path), code="pwd", cwd="sub"))["stdout"].strip().endswith("/sub")


JSONS: list[tuple[bytes, Any]] = [
    (b'{"a":1}', {"a": 1}), (b'\xef\xbb\xbf{"a":1}\n', {"a": 1}), (b'Loading...\n{"a":1}\n', {"a": 1}), (b"v1\r\n\r\n[1,\n2]\n", [1, 2]),
    (b'[info] up\n\xef\xbb\xbf{"a":1}', {"a": 1}), (b"3\n", 3), (b"caf\xe9 banner\n{}", {}), (b'{"no\n{"a":1}', {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "value"), JSONS)
async def test_json_behind_a_mark_or_a_banner(tmp_path: Path, raw: bytes, value: Any) -> None:
    assert json_of(raw)[0] == value
    (tmp_path / "out").write_bytes(raw)
    assert (await call(script.Shell, context(tmp_path), code="cat out"))["json"] == value
    assert (await call(Run, context(tmp_path), argv=["cat", "out"], json=True))["json"] == value


@pytest.mark.parametrize("raw", [b"", b"plain\n", b"plain\n3\n", b'{"a":1}\ntrailing', b'{"a":"\xe9"}'])
async def test_output_that_is_not_json(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "out").write_bytes(raw)
    assert (await call(script.Shell, context(tmp_path), code="cat out"))["json"] is None
    failed = await failure(Run, tmp_path, argv=["cat", "out"], json=True)
    assert (failed.type, failed.retryable) == ("shell.json", False)


async def test_a_program_asks_to_be_killed_with_the_daemon(tmp_path: Path) -> None:
    """And only the main thread asks: for the kernel the parent is the thread, and others come and go."""
    ask = "import ctypes; found = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(found)); print(found.value)"
    argv = ["python3", "-c", ask]
    assert (await call(Run, context(tmp_path), argv=argv))["stdout"].strip() == str(int(signal.SIGKILL))

    def elsewhere() -> bytes:
        made = start(argv, cwd=tmp_path, env={**os.environ, "M": "1"}, mark="M")
        assert made.stdout is not None
        os.set_blocking(made.stdout._fd, True)
        found = os.read(made.stdout._fd, 100)
        anyio.run(made.aclose)
        return found

    assert (await anyio.to_thread.run_sync(elsewhere))[:1] == b"0"


async def test_secrets_are_masked_before_a_line_is_cut(tmp_path: Path) -> None:
    secret = "s" * 100
    masking = context(tmp_path)
    masking.mask = lambda text: text.replace(secret, "***")
    with pytest.raises(StepFailed) as raised:
        await call(Run, masking, argv=["sh", "-c", f"echo {'x' * 450}{secret} >&2; exit 1"])
    assert "xs" not in str(raised.value) and "***" in str(raised.value)
