"""The guide for contributors names files and commands that are there, and no more files than it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*)\n\n((?:(?!## ).*\n?)*)", TEXT, re.MULTILINE))
PATHS = sorted(
    set(re.findall(r"(?<![\w/])(?:(?:reactor|flows|triggers|plugins|tests)/[\w/.]+|requirements\.lock)", TEXT))
)


@pytest.mark.parametrize("path", PATHS)
def test_its_files_are_there(path: str) -> None:
    if "NAME" in path:
        assert (ROOT / path).parent.is_dir()
    else:
        assert (ROOT / path).exists()


def test_its_commands_are_there() -> None:
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make (\w+)`", TEXT))
    assert len(named) >= 4 and named <= rules


@pytest.mark.parametrize(("what", "most"), [("a trigger", 3), ("an action", 3), ("a verb", 6)])
def test_what_is_added_touches_few_files(what: str, most: int) -> None:
    steps = re.findall(r"^(\d)\. `", SECTIONS[f"Add {what}"], re.MULTILINE)
    assert steps == [str(number + 1) for number in range(most)]
