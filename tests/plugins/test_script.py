"""Scripts: data by stdin, never as code; only when the operator allows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from plugins.actions import script
from reactor.contracts.errors import StepFailed
from tests.flows_help import problems
from tests.plugins.test_file import call, context

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


SUMS = {
    script.Python: "import json, sys\nd = json.load(sys.stdin)\nprint(json.dumps({'sum': sum(d), 'args': sys.argv[1:]}))",
    script.Node: "const d = JSON.parse(require('fs').readFileSync(0));"
    "console.log(JSON.stringify({sum: d[0] + d[1], args: process.argv.slice(1)}))",
    script.Shell: 'read d; printf \'{"sum": %s, "args": ["%s"]}\' 3 "$1"',
}


@pytest.mark.parametrize("cls", SUMS)
async def test_json_in_json_out(cls: Any, tmp_path: Path) -> None:
    result = await call(cls, context(tmp_path), code=SUMS[cls], input=[1, 2], args=["$(id)"])
    assert result["json"] == {"sum": 3, "args": ["$(id)"]} and result["exit_code"] == 0


async def test_files_exit_codes_and_output_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import sys; print('plain'); sys.exit(3)")
    result = await call(script.Python, context(tmp_path), file="a.py", check=False)
    assert result["exit_code"] == 3 and result["stdout"] == "plain\n" and result["json"] is None
    with pytest.raises(StepFailed) as caught:
        await call(script.Python, context(tmp_path), file="a.py")
    assert caught.value.type == "script.exit" and caught.value.status == 3
    for wrong in ({}, {"code": "1", "file": "a.py"}):
        with pytest.raises(StepFailed):
            await call(script.Python, context(tmp_path), **wrong)


async def test_no_program_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepFailed) as caught:
        await call(script.Node, context(tmp_path), code="1")
    assert caught.value.type == "script.missing"


async def test_cancellation_ends_it(tmp_path: Path) -> None:
    with anyio.move_on_after(0.5) as scope:
        await call(script.Python, context(tmp_path), code="import time; time.sleep(60)")
    assert scope.cancelled_caught


def test_code_is_written_out_and_allowed() -> None:
    flow = "flow: a\nwhen: [manual]\ndo: [{call: script.python, with: {code: '%s'}}]\n"
    assert any("--allow script" in problem for problem in problems(flow % "print(1)"))
    assert any("event data never becomes code" in problem for problem in problems(flow % "${{ event.data.x }}"))
