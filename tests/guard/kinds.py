"""Which tests start the daemon or a server: found from what they call, so that nobody has to keep a list."""

from __future__ import annotations

import inspect
from types import CodeType, FunctionType, ModuleType

import pytest

from tests import services
from tests.daemon import Daemon


def starts_a_process(item: pytest.Function) -> bool:
    """Whether the test, or a fixture of it, reaches the class of the daemon or of a server in what it names.
    A fixture that is asked for by name in the middle may be such a one."""
    fixtures = [one.func for found in item._fixtureinfo.name2fixturedefs.values() for one in found]
    seen: set[object] = set()
    return any(_reaches(inspect.unwrap(work), seen) for work in (item.obj, *fixtures))


def _reaches(work: object, seen: set[object]) -> bool:
    work = getattr(work, "__func__", work)
    if not isinstance(work, FunctionType) or work in seen or not work.__module__.startswith("tests."):
        return False
    seen.add(work)
    names = _names(work.__code__)
    return "getfixturevalue" in names or any(_is_one(work.__globals__.get(name), seen) for name in names)


def _is_one(value: object, seen: set[object]) -> bool:
    if isinstance(value, ModuleType):
        return value is services
    if isinstance(value, type):
        return issubclass(value, Daemon | services.Service)
    return _reaches(inspect.unwrap(value) if callable(value) else value, seen)


def _names(code: CodeType) -> set[str]:
    """The names in a function, and in what is defined in it."""
    inner = [_names(one) for one in code.co_consts if isinstance(one, CodeType)]
    return set(code.co_names).union(*inner)
