"""Where paths may point, and writes that are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugins.actions import file as actions
from reactor.contracts.action import ActionContext, ActionSettings
from reactor.contracts.errors import StepFailed
from reactor.kit.clock import SystemClock

pytestmark = pytest.mark.anyio


def context(folder: Path, literals: dict[str, str] | None = None, root: str | None = None) -> ActionContext:
    return ActionContext(
        run="r", flow="f", step="s", attempt=1, idempotency_key="k", deadline=None, clock=SystemClock(), folder=str(folder),
        literals=literals or {}, settings=ActionSettings(file_root=root),
    )  # fmt: skip


async def call(cls: Any, ctx: ActionContext, **options: Any) -> Any:
    return await cls().run(msgspec.convert(options, cls.Options), ctx)


async def test_round_trip(tmp_path: Path) -> None:
    here = context(tmp_path)
    await call(actions.Write, here, path="a/b.json", json={"x": 1})
    assert (await call(actions.Read, here, path="a/b.json", decode="json"))["content"] == {"x": 1}
    await call(actions.Append, here, path="a/c.txt", text="1")
    await call(actions.Append, here, path="a/c.txt", text="2")
    assert (await call(actions.Read, here, path="a/c.txt"))["content"] == "12"
    await call(actions.Copy, here, path="a/c.txt", to="d/e.txt")
    await call(actions.Move, here, path="d/e.txt", to="f.txt")
    await call(actions.Move, here, path="d/e.txt", to="f.txt")
    listed = await call(actions.List, here, path="a")
    assert [one["name"] for one in listed["files"]] == ["b.json", "c.txt"]
    assert (await call(actions.Delete, here, path="f.txt"))["deleted"] is True
    assert (await call(actions.Delete, here, path="f.txt"))["deleted"] is False
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["b.json", "c.txt"]


@pytest.mark.parametrize(
    ("literal", "value", "good"),
    [
        ("out/", "out/a.txt", True),
        ("out/", "out/../secret", False),
        ("out/", "out/x/../../secret", False),
        ("out/", "out//etc/passwd", True),
        ("out/a-", "out/a-1.txt", True),
        ("out/a-", "out/a-/../../x", False),
        ("", "anything", False),
        ("out/", "out/link/x", False),
    ],
)
async def test_what_an_expression_adds_stays_under_the_root(
    tmp_path: Path, literal: str, value: str, good: bool
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path / "elsewhere")
    here = context(tmp_path, {"path": literal})
    if good:
        await call(actions.Write, here, path=value, text="x")
        return
    with pytest.raises(StepFailed) as raised:
        await call(actions.Write, here, path=value, text="x")
    assert raised.value.type == "file.path"
    assert not list((tmp_path / "elsewhere").iterdir())


async def test_a_declared_root(tmp_path: Path) -> None:
    here = context(tmp_path, {"path": ""}, str(tmp_path))
    await call(actions.Write, here, path=f"{tmp_path}/a.txt", text="x")
    with pytest.raises(StepFailed):
        await call(actions.Write, here, path="/etc/never", text="x")


async def test_errors_have_types(tmp_path: Path) -> None:
    for cls, options, type in (
        (actions.Read, {"path": "none"}, "file.not_found"),
        (actions.Read, {"path": "bad.json", "decode": "json"}, "file.content"),
        (actions.Write, {"path": "x", "text": "a", "json": 1}, "expression"),
        (actions.Write, {"path": "x"}, "expression"),
        (actions.List, {"path": ".", "pattern": "../*"}, "file.path"),
        (actions.Delete, {"path": "none", "missing_ok": False}, "file.not_found"),
    ):
        (tmp_path / "bad.json").write_text("{")
        with pytest.raises(StepFailed) as raised:
            await call(cls, context(tmp_path), **options)
        assert raised.value.type == type
