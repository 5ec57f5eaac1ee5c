"""The verbs: one list, and for each a class that reads its steps and one that walks them, both of one name."""

from __future__ import annotations

import keyword
from pathlib import Path

import pytest

from flows.policies import COMMON
from flows.verbs.table import VERBS as READ
from reactor.contracts.plan import BODIES
from reactor.engine.verbs import VERBS as WALKED

ROOT = Path(__file__).parent.parent.parent
SHARED = {"__init__", "table", "loop"}
"""Modules beside the verbs that are no verb."""


def test_both_sides_have_the_verbs_of_the_list() -> None:
    assert list(READ) == list(BODIES)
    assert list(WALKED) == list(BODIES)


@pytest.mark.parametrize("verb", BODIES)
def test_a_verb_is_called_the_same_on_both_sides(verb: str) -> None:
    module = f"{verb}_" if keyword.iskeyword(verb) else verb
    assert READ[verb].name == verb
    for side, package in ((READ[verb], "flows.verbs"), (WALKED[verb], "reactor.engine.steps")):
        assert type(side).__module__ == f"{package}.{module}"
        assert type(side).__name__ == BODIES[verb].__name__


def test_no_file_of_a_verb_is_left_over() -> None:
    modules = {f"{verb}_" if keyword.iskeyword(verb) else verb for verb in BODIES}
    for folder in ("flows/verbs", "reactor/engine/steps"):
        assert {path.stem for path in (ROOT / folder).glob("*.py")} - SHARED == modules, folder


@pytest.mark.parametrize("verb", BODIES)
def test_the_keys_of_a_verb(verb: str) -> None:
    reader = READ[verb]
    assert next(iter(reader.keys)) == verb
    assert set(reader.required) <= set(reader.keys)
    assert not set(reader.keys) & set(COMMON)
