"""When a file is quiet, and which version of a flow is the last good one: without files, at given moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.tree import Found, how
from reactor.catalog.last_good import EDITOR_SAVE, LastGood
from reactor.catalog.settling import NEVER_QUIET, SETTLE, Settling
from tests.flows_help import plan

PLAN = plan("flow: one\nwhen: [manual]\ndo: [{set: {a: 1}}]\n")


@pytest.fixture
def found(tmp_path: Path) -> tuple[Found, Found]:
    """How a file stands before and after a write."""
    path = tmp_path / "a.yaml"
    path.write_text("a")
    first = how(str(path))
    path.write_text("ab")
    second = how(str(path))
    assert first is not None and second is not None
    return first, second


def test_a_file_is_quiet_when_two_looks_find_it_equal(found: tuple[Found, Found]) -> None:
    settling = Settling()
    assert not settling.is_quiet("a", found[0], (), 10.0) and settling
    assert settling.due() == 10.0 + SETTLE
    assert not settling.is_quiet("a", found[0], (), 10.0 + SETTLE / 2)
    assert not settling.is_quiet("a", found[1], (), 10.0 + SETTLE), "it was written to"
    assert not settling.is_quiet("a", found[1], (found[0],), 10.0 + 2 * SETTLE), "a file that it names was"
    assert settling.is_quiet("a", found[1], (found[0],), 10.0 + 3 * SETTLE)
    assert settling.restless(10.0 + NEVER_QUIET) == set()
    assert settling.restless(10.1 + NEVER_QUIET) == {"a"}
    settling.forget("a")
    assert not settling and settling.due() is None


def test_a_flow_that_is_gone_from_a_file_of_several_may_come_back() -> None:
    good = LastGood()
    good.keep("f", {"one": PLAN, "two": PLAN})
    good.named("f", {"one"}, 10.0)
    assert set(good.of("f")) == {"one"}
    assert [(path, name) for path, name, _ in good.lost()] == [("f", "two")]
    assert good.due() == [10.0 + EDITOR_SAVE]
    assert not good.forget_lost(10.0 + EDITOR_SAVE / 2, {"f"})
    good.named("f", {"one", "two"}, 10.5)
    assert not list(good.lost()), "it is back"
    good.keep("f", {"one": PLAN, "two": PLAN})
    good.named("f", {"one"}, 11.0)
    assert good.forget_lost(11.0 + EDITOR_SAVE, {"f"}) and not list(good.lost())


def test_flows_are_kept_while_nobody_knows_which_one_a_file_has() -> None:
    good = LastGood()
    good.keep("f", {"one": PLAN})
    good.named("f", {""}, 10.0)
    assert set(good.of("f")) == {"one"}
    good.named("f", {"other"}, 11.0)
    assert not good.of("f") and not list(good.lost()), "a flow with another name took its place"
