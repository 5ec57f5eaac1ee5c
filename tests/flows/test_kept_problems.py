"""What the loader says of broken flows, to the letter and to the column, as it was kept for each kind of problem.

A wording that is changed on purpose is kept anew: `python -m tests.flows.test_kept_problems`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.loader import load_text
from tests.flows_help import KINDS

KEPT = Path(__file__).with_name("kept_problems.jsonl")
CASES = [json.loads(line) for line in KEPT.read_text("utf-8").splitlines()]


def problems(text: str) -> list[str]:
    found = load_text(text, "/flows/f.yaml", "/nowhere", KINDS)
    return [str(problem) for document in found for problem in document.problems]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_problems_of_a_flow_are_those_that_were_kept(number: int) -> None:
    assert problems(CASES[number]["text"]) == CASES[number]["problems"]


if __name__ == "__main__":
    lines = [{"text": case["text"], "problems": problems(case["text"])} for case in CASES]
    KEPT.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
