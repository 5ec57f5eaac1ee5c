"""The table of what was found names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_named_test_exists() -> None:
    table = (Path(__file__).parent / "README.md").read_text("utf-8")
    named = re.findall(r"((?:tests|build)/[a-z_0-9/]+\.py)(?:::(\w+))?", table)
    assert len(named) > 180
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or f"def {name}" not in (ROOT / path).read_text("utf-8")
    ]
    assert missing == []
