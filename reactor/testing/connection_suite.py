"""What every kind of connection must be: `CHECKS` over a class. Raises AssertionError."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from flows.nodes import parse_documents
from reactor.contracts.kinds import AnyConnection, ConnectionKind
from reactor.testing.kind_suite import describes_itself, fulfils, require

CHECKS: dict[str, Callable[[type[AnyConnection]], None]] = {}


def check(function: Callable[[type[AnyConnection]], None]) -> Callable[[type[AnyConnection]], None]:
    CHECKS[function.__name__] = function
    return function


@check
def fulfils_the_contract(cls: type[AnyConnection]) -> None:
    fulfils(cls, ConnectionKind)
    describes_itself(cls)


@check
def has_an_example_that_fits_its_options(cls: type[AnyConnection]) -> None:
    documents, problems = parse_documents(cls.example, "example")
    require(documents and not problems, f"{cls.name}: {problems}")
    given = documents[0].plain()
    require(given["kind"] == cls.name, f"{cls.name}: the example is of another kind")
    options = msgspec.convert(given["settings"], cls.Options, strict=False)
    require(not cls.problems(options), f"{cls.name}: {cls.problems(options)}")


@check
def takes_urls_of_its_schemes_alone(cls: type[AnyConnection]) -> None:
    if not cls.schemes:
        try:
            cls.from_url("x://y")
        except ValueError:
            return
        raise AssertionError(f"{cls.name} has no schemes, but takes a URL")
    for scheme in cls.schemes:
        require(isinstance(cls.from_url(f"{scheme}://user:pass@host:1234/name"), dict), f"{cls.name}: {scheme}://")
