"""How the end of the daemon becomes an exit code."""

from __future__ import annotations

import pytest

from reactor.contracts.errors import ConfigError, StoreFailed
from reactor.process.interpreter import causes, exit_code


def test_what_the_operator_can_do_something_about_is_said() -> None:
    said: list[str] = []

    def fails() -> None:
        raise BaseExceptionGroup("g", [ValueError("x"), BaseExceptionGroup("h", [StoreFailed("the disk is gone")])])

    def refuses() -> None:
        raise ConfigError("no such option")

    assert exit_code(lambda: None, said.append) == 0 and not said
    assert exit_code(fails, said.append) == 1 and exit_code(refuses, said.append) == 1
    assert said == ["reactor: the disk is gone", "reactor: no such option"]


def test_a_defect_is_raised_as_it_is() -> None:
    group = BaseExceptionGroup("g", [ValueError("x"), KeyError("y")])
    with pytest.raises(BaseExceptionGroup) as raised, causes():
        raise group
    assert raised.value is group
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: print(1 / 0), print)
