"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.daemon import end_daemons
from tests.guard import blocking, kinds, limits, processes
from tests.guard.processes import Session

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
settings.load_profile("default")

for name in [name for name in os.environ if name.startswith("REACTOR_") and not name.startswith("REACTOR_TEST_")]:
    del os.environ[name]


def pytest_configure() -> None:
    limits.stderr = os.dup(2)
    blocking.watch()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and kinds.starts_a_process(item):
            item.add_marker("daemon")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    processes.expected = item.get_closest_marker("daemon") is not None
    with limits.limited(f"the set-up of {item.nodeid}", limits.seconds_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with limits.limited(item.nodeid, limits.seconds_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with limits.limited(f"the end of {item.nodeid}", limits.seconds_of(item)):
        return (yield)


def pytest_enter_pdb() -> None:
    limits.off()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _no_process_outlives_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    session = Session(tmp_path_factory.getbasetemp())
    yield
    left = session.end()
    if left:
        pytest.fail("processes outlived the tests, and were killed:\n" + "\n".join(map(str, left)), pytrace=False)


@pytest.fixture(autouse=True)
def _no_daemon_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None:
        end_daemons(folder)


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    blocking.taken()
    yield
    if found := blocking.taken():
        pytest.fail("\n".join(found), pytrace=False)
