"""What every action must be and do: `CHECKS` over a class. Raises AssertionError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from flows.nodes import parse_documents

CHECKS: dict[str, Callable[[Any], None]] = {}


def check(function: Callable[[Any], None]) -> Callable[[Any], None]:
    CHECKS[function.__name__] = function
    return function


def require(condition: Any, message: object) -> None:
    if not condition:
        raise AssertionError(message)


@check
def says_what_it_is(cls: Any) -> None:
    require(cls.name and cls.summary.endswith("."), f"{cls} needs a name and a summary that ends with a full stop")
    require(cls.repeat in ("safe", "keyed", "never"), f"{cls.name}: repeat is safe, keyed or never")
    require(cls.needs is None or isinstance(cls.needs, str), f"{cls.name}: needs is an --allow word or None")


@check
def has_frozen_options_that_refuse_unknown_fields(cls: Any) -> None:
    config = cls.Options.__struct_config__
    require(config.frozen and config.forbid_unknown_fields, f"{cls.name}: Options are frozen and closed")
    require(msgspec.json.schema(cls.Options), f"{cls.name}: Options have a JSON Schema")


@check
def describes_each_option(cls: Any) -> None:
    from reactor.kinds.reference import option_rows

    for row in option_rows(cls.Options):
        require(row["description"], f"{cls.name}: the option {row['name']} has no description")


@check
def has_an_example_that_fits_its_options(cls: Any) -> None:
    documents, problems = parse_documents(cls.example, "example")
    require(documents and not problems, f"{cls.name}: {problems}")
    given = documents[0].plain()
    known = {field.encode_name for field in msgspec.structs.fields(cls.Options)}
    unknown = set(given.get("with") or {}) - known
    require(not unknown, f"{cls.name}: the example names {unknown}")
