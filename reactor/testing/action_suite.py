"""What every action must be and do: `CHECKS` over a class. Raises AssertionError."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from flows.nodes import parse_documents
from reactor.contracts.kinds import ActionKind, AnyAction
from reactor.testing.kind_suite import describes_itself, fulfils, has_option, require

CHECKS: dict[str, Callable[[type[AnyAction]], None]] = {}


def check(function: Callable[[type[AnyAction]], None]) -> Callable[[type[AnyAction]], None]:
    CHECKS[function.__name__] = function
    return function


@check
def fulfils_the_contract(cls: type[AnyAction]) -> None:
    fulfils(cls, ActionKind)
    describes_itself(cls)
    require(cls.repeat in ("safe", "keyed", "never"), f"{cls.name}: repeat is safe, keyed or never")


@check
def names_options_that_it_has(cls: type[AnyAction]) -> None:
    for path in (*cls.literal_options, *cls.path_options, *cls.reading_options):
        require(has_option(cls.Options, path), f"{cls.name} has no option {path}")
    require(set(cls.reading_options) <= set(cls.path_options), f"{cls.name}: what it reads are paths")
    require(not cls.connection_kinds or has_option(cls.Options, "connection"), f"{cls.name} has no `connection`")
    require(not cls.uses_collection or has_option(cls.Options, "collection"), f"{cls.name} has no `collection`")


@check
def describes_each_option(cls: type[AnyAction]) -> None:
    from reactor.kinds.reference import option_rows

    for row in option_rows(cls.Options):
        require(row["description"], f"{cls.name}: the option {row['name']} has no description")


@check
def has_an_example_that_fits_its_options(cls: type[AnyAction]) -> None:
    documents, problems = parse_documents(cls.example, "example")
    require(documents and not problems, f"{cls.name}: {problems}")
    given = documents[0].plain()
    known = {field.encode_name for field in msgspec.structs.fields(cls.Options)}
    unknown = set(given.get("with") or {}) - known
    require(not unknown, f"{cls.name}: the example names {unknown}")
