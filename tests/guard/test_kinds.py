"""A test that starts a daemon or a server has the mark, whether it says so or not; others have it not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.guard import processes


def a_daemon(folder: Path) -> Daemon:
    return Daemon(folder)


@pytest.fixture
def lazy(tmp_path: Path) -> Daemon:
    return next(a_daemon(tmp_path) for _ in "x")


def test_by_a_fixture_and_a_helper(lazy: Daemon, request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("daemon") is not None and processes.expected


@pytest.mark.parametrize("number", [1])
def test_one_that_starts_nothing(request: pytest.FixtureRequest, number: int) -> None:
    assert request.node.get_closest_marker("daemon") is None and not processes.expected
