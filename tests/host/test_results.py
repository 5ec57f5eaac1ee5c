"""Results of plugins whose schema leaves them open: flows read any field of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.host.kinds import result_fields
from tests.daemon import Daemon

SCRIPT = "import json\nprint(json.dumps({'result': {'answer': 42}}))\n"
FLOW = """flow: f
when: [{http: POST /f}]
do: [{id: it, call: tools.ask}]
output: ${{ steps.it.answer }}
"""


@pytest.mark.parametrize("result", ["", "result: {}", "result: {type: object}", "result: true"])
def test_a_result_without_a_closed_schema_is_open(tmp_path: Path, result: str) -> None:
    folder = tmp_path / "plugins" / "tools"
    folder.mkdir(parents=True)
    (folder / "ask.py").write_text(SCRIPT)
    spec = ", ".join(part for part in ("summary: Asks.", result) if part)
    (folder / "plugin.yaml").write_text(
        f"plugin: tools\nprotocol: script\ncommand: [{sys.executable}, ./ask.py]\nactions:\n  ask: {{{spec}}}\n"
    )
    daemon = Daemon(tmp_path, "--plugins", str(tmp_path / "plugins"))
    daemon.flow("f.yaml", FLOW)
    with daemon:
        answer = daemon.post("/hooks/f?wait", {})
        assert (answer.status, answer.json) == (200, 42), daemon.log.read_text()[-2000:]


def test_which_fields_a_schema_names() -> None:
    one = {"type": "object", "properties": {"a": {}}}
    assert result_fields(one) == ("a",) == result_fields({**one, "additionalProperties": False})
    more: dict[str, Any]
    for more in ({"additionalProperties": True}, {"additionalProperties": {}}, {"patternProperties": {"^x": {}}}):
        assert result_fields({**one, **more}) is None
