"""What is generated is what the protocol says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_generated_messages_are_those_of_the_protocol(tmp_path: Path) -> None:
    source = ROOT / "proto/reactor/plugin/v1"
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(source), f"--python_out={tmp_path}", "plugin.proto"]
    subprocess.run(command, check=True)
    assert (tmp_path / "plugin_pb2.py").read_text() == (ROOT / "plugins/pb/plugin_pb2.py").read_text(), "make proto"
    assert (source / "plugin.proto").read_text() == (ROOT / "plugins/pb/plugin.proto").read_text(), "make proto"
    messages = [
        line.split()[1] for line in (source / "plugin.proto").read_text().splitlines() if line.startswith("message ")
    ]
    made = (ROOT / "plugins/kits/go/grpc/pb/plugin.pb.go").read_text()
    assert messages and all(f"type {name} struct" in made for name in messages), "make proto"
