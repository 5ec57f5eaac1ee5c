"""Options of actions and triggers against their frozen struct, with the place of each problem."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from flows.nodes import Node
from flows.problems import suggest
from flows.report import Report, describe
from reactor.kit.words import explain


@functools.lru_cache(maxsize=1024)
def fields(options: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields of an Options struct by the name that the flow uses."""
    return {field.encode_name: field for field in msgspec.structs.fields(options)}


def check_options(
    report: Report, options: type[msgspec.Struct], node: Node, what: str, templates: bool = False
) -> bool:
    """Reports unknown, missing and ill-typed options; True when there were none. With `templates`, a value that
    holds `${{ }}` is checked when it is known."""
    before = len(report.problems)
    if not report.expect(node, "map", f"the options of {what}"):
        return False
    known = fields(options)
    for key, (key_node, value) in node.entries.items():
        if key not in known:
            report.problem(key_node, f"{what} has no option {key}{suggest(key, known)}")
            continue
        plain = value.plain()
        if templates and "${{" in msgspec.json.encode(plain).decode():
            continue
        try:
            msgspec.convert(plain, known[key].type, strict=True)
        except msgspec.ValidationError as error:
            report.problem(value, f"{what}: {explain(error, known[key].type, key)}, not {describe(value)}")
    for name, field in known.items():
        required = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        if required and name not in node.entries:
            report.problem(node, f"{what} needs the option {name}")
    return len(report.problems) == before
