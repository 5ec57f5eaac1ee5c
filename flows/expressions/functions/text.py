"""Strings. Regular expressions run on RE2, in time linear in the text."""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

from flows.expressions.functions._arguments import sequence, string, whole
from flows.expressions.table import function
from flows.expressions.values import MAX_SIZE, Budget, fault, text
from reactor.contracts.errors import StepFailed

_STRIPPED = " \t\n\r\f\v"


@function("lower(s)", "In lower case.", 'lower("AbC")', "abc", method="lower")
def lower(budget: Budget, s: Any) -> Any:
    return string("lower", s).lower()


@function("upper(s)", "In upper case.", 'upper("AbC")', "ABC", method="upper")
def upper(budget: Budget, s: Any) -> Any:
    return string("upper", s).upper()


@function("title(s)", "Each word with a capital.", 'title("my day")', "My Day", method="title")
def title(budget: Budget, s: Any) -> Any:
    return string("title", s).title()


@function(
    "strip(s, characters)",
    "Without blanks (or `characters`) at both ends.",
    'strip(" a ")',
    "a",
    method="strip",
)
def strip(budget: Budget, s: Any, characters: Any = _STRIPPED) -> Any:
    return string("strip", s).strip(string("strip", characters))


@function("lstrip(s, characters)", "The same at the start.", 'lstrip(" a")', "a", method="lstrip")
def lstrip(budget: Budget, s: Any, characters: Any = _STRIPPED) -> Any:
    return string("lstrip", s).lstrip(string("lstrip", characters))


@function("rstrip(s, characters)", "The same at the end.", 'rstrip("a ")', "a", method="rstrip")
def rstrip(budget: Budget, s: Any, characters: Any = _STRIPPED) -> Any:
    return string("rstrip", s).rstrip(string("rstrip", characters))


@function(
    "split(s, separator)",
    "Parts between separators, or words.",
    'split("a,b", ",")',
    ["a", "b"],
    method="split",
)
def split(budget: Budget, s: Any, separator: Any = None) -> Any:
    if separator is not None and string("split", separator) == "":
        raise fault("split() needs a separator that is not empty")
    source = string("split", s)
    if separator is not None and source.count(separator) * 8 > MAX_SIZE:
        raise StepFailed("limit", "split() makes a list of more than 1 MiB")
    parts = source.split(separator)
    budget.spend(len(parts))
    return parts


@function("join(list, separator)", "The texts of the elements, joined.", 'join(["a", "b"], "-")', "a-b")
def join(budget: Budget, items: Any, separator: Any = "") -> Any:
    pool = [text(item) for item in sequence("join", items, budget)]
    glue = string("join", separator)
    if sum(map(len, pool)) + len(glue) * len(pool) > MAX_SIZE:
        raise StepFailed("limit", "join() makes a string of more than 1 MiB")
    return glue.join(pool)


@function("replace(s, old, new)", "All `old` made `new`.", 'replace("a-b", "-", "+")', "a+b", method="replace")
def replace(budget: Budget, s: Any, old: Any, new: Any) -> Any:
    source, before, after = string("replace", s), string("replace", old), string("replace", new)
    if before == "":
        raise fault("replace() needs an `old` that is not empty")
    if len(source) + source.count(before) * max(len(after) - len(before), 0) > MAX_SIZE:
        raise StepFailed("limit", "replace() makes a string of more than 1 MiB")
    return source.replace(before, after)


@function("starts_with(s, prefix)", "Whether it begins so.", 'starts_with("abc", "ab")', True, method="startswith")
def starts_with(budget: Budget, s: Any, prefix: Any) -> Any:
    return string("starts_with", s).startswith(string("starts_with", prefix))


@function("ends_with(s, suffix)", "Whether it ends so.", 'ends_with("abc", "bc")', True, method="endswith")
def ends_with(budget: Budget, s: Any, suffix: Any) -> Any:
    return string("ends_with", s).endswith(string("ends_with", suffix))


@function("count(s, part)", "How often `part` stands in it.", 'count("abab", "ab")', 2, method="count")
def count(budget: Budget, s: Any, part: Any) -> Any:
    return string("count", s).count(string("count", part))


@function("find(s, part)", "The first place of `part`, or -1.", 'find("abc", "c")', 2, method="find")
def find(budget: Budget, s: Any, part: Any) -> Any:
    return string("find", s).find(string("find", part))


@function("contains(s, part)", "Whether `part` is in it; as `part in s`.", 'contains("abc", "b")', True)
def contains(budget: Budget, s: Any, part: Any) -> Any:
    from flows.expressions import values

    if isinstance(s, (list, dict)):
        budget.spend(len(s))
    return values.contains(part, s)


@functools.lru_cache(256)
def pattern(source: str) -> Any:
    """A compiled RE2 pattern. Raises StepFailed for one that RE2 does not know."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    if len(source) > 1000:
        raise fault("a pattern has at most 1,000 characters")
    try:
        return re2.compile(source, options)
    except re2.error as error:
        message = error.args[0] if error.args else error
        raise fault(f"the pattern {source!r} is not understood: {_words(message)}") from None


def _words(message: Any) -> str:
    return message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)


@function("matches(s, pattern)", "Whether the regular expression is found in it.", 'matches("ab12", "[0-9]+")', True)
def matches(budget: Budget, s: Any, expression: Any) -> Any:
    return pattern(string("matches", expression)).search(string("matches", s)) is not None


@function(
    "extract(s, pattern)",
    "What the regular expression finds: the first group, or an object of the named ones; null when nothing.",
    'extract("id=42", "id=([0-9]+)")',
    "42",
)
def extract(budget: Budget, s: Any, expression: Any) -> Any:
    compiled = pattern(string("extract", expression))
    found = compiled.search(string("extract", s))
    if found is None:
        return None
    if compiled.groupindex:
        return {name: found.group(name) for name in sorted(compiled.groupindex, key=compiled.groupindex.get)}
    return found.group(1) if compiled.groups else found.group(0)


@function("slug(s)", "Lower-case letters, digits and hyphens only.", 'slug("Crème Brûlée!")', "creme-brulee")
def slug(budget: Budget, s: Any) -> Any:
    plain = unicodedata.normalize("NFKD", string("slug", s)).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())


@function("truncate(s, length)", "At most `length` characters.", 'truncate("abcdef", 3)', "abc")
def truncate(budget: Budget, s: Any, length: Any) -> Any:
    return string("truncate", s)[: max(whole("truncate", length), 0)]


@function("lines(s)", "The lines, without their ends.", 'lines("a\\nb")', ["a", "b"])
def lines(budget: Budget, s: Any) -> Any:
    parts = string("lines", s).splitlines()
    budget.spend(len(parts))
    return parts
