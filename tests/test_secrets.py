"""Secrets as editors, shells and orchestrators leave them: trimmed, or refused by name, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reactor.contracts.errors import StepFailed
from reactor.secrets.lookup import TOGETHER, Secrets
from tests.daemon import Daemon

VALUE = "s3cret-vàlue"
GOOD = {
    "plain": VALUE.encode(), "line end": VALUE.encode() + b"\n", "windows line end": VALUE.encode() + b"\r\n",
    "mark": b"\xef\xbb\xbf" + VALUE.encode() + b"\n", "blanks are kept": VALUE.encode() + b" \n",
}  # fmt: skip
BAD = {
    "utf-16": VALUE.encode("utf-16"), "utf-16 without mark": VALUE.encode("utf-16-le"), "latin-1": VALUE.encode("latin-1"),
    "binary": b"\x00\x01" + VALUE.encode(), "large": VALUE.encode() * 30_000,
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_files_are_trimmed(tmp_path: Path, name: str) -> None:
    (tmp_path / "token").write_bytes(GOOD[name])
    assert Secrets(tmp_path, {}).get("token") == VALUE + (" " if "blanks" in name else "")


def test_variables_are_trimmed(tmp_path: Path) -> None:
    for value in (VALUE, f"{VALUE}\n", f"\ufeff{VALUE}\r\n"):
        assert Secrets(tmp_path, {"REACTOR_SECRET_MY_TOKEN": value}).get("my-token") == VALUE
    key = "-----BEGIN KEY-----\nabc\n-----END KEY-----"
    assert Secrets(tmp_path, {"REACTOR_SECRET_KEY": f"{key}\n"}).get("key") == key


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "token").write_bytes(BAD[name])
    secrets = Secrets(tmp_path, {})
    assert secrets.exists("token")
    with pytest.raises(StepFailed) as raised:
        secrets.get("token")
    message = str(raised.value)
    assert (raised.value.type, raised.value.retryable) == ("secret.invalid", False)
    assert "the secret token" in message and "s3cret" not in message and "0x" not in message


def test_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, word in (("token", "folder"), ("pipe", "regular file")):
        with pytest.raises(StepFailed, match=word):
            Secrets(tmp_path, {}).get(name)
    with pytest.raises(StepFailed, match="not UTF-8"):
        Secrets(tmp_path, {"REACTOR_SECRET_A": "s3cret\udce9"}).get("a")
    for missing in ("none", "../token", ""):
        with pytest.raises(StepFailed) as raised:
            Secrets(tmp_path, {}).get(missing)
        assert raised.value.type == "secret.missing"


def test_all_that_were_given_out_are_masked(tmp_path: Path) -> None:
    names = [f"key_{place}" for place in range(3 * TOGETHER + 2)]
    secrets = Secrets(tmp_path, {f"REACTOR_SECRET_{name.upper()}": f"value-of-{name}" for name in names})
    for place, name in enumerate(names):
        secrets.get(name)
        text = " ".join(f"value-of-{one}" for one in names[: place + 1])
        assert secrets.mask(text).split() == ["***"] * (place + 1)
    assert secrets.mask("nothing") == "nothing"


@pytest.mark.daemon
def test_the_daemon_refuses_a_secret_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "token").write_bytes("a-s3cret-token".encode("utf-16"))
    daemon = Daemon(tmp_path, "--secrets", str(folder))
    daemon.flow(
        "a.yaml",
        "flow: a\nwhen: [{http: POST /a}]\ndo: [{call: log, with: {message: '${{ secrets.token }}'}, retry: {times: 3, wait: 1ms}}]\n",
    )
    with daemon:
        error = daemon.post("/hooks/a?wait", {}).json["error"]
        assert (error["type"], error["retryable"]) == ("secret.invalid", False) and "the secret token" in error[
            "message"
        ]
        (folder / "token").write_bytes(b"\xef\xbb\xbfa-s3cret-token\r\n")
        assert daemon.post("/hooks/a?wait", {}).status == 200
        assert daemon.stop() == 0
    log = daemon.log.read_text()
    assert '"message":"***"' in log and "a-s3cret" not in log
