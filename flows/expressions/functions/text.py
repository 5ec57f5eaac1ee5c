"""Strings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from flows.expressions.bounds import CHARACTERS, MAX_SIZE, VALUE, Budget, limit
from flows.expressions.functions._arguments import sequence, string, whole
from flows.expressions.messages import fault, show
from flows.expressions.table import List, Object, Text, Value, Whole, function
from flows.expressions.values import contains as within
from flows.expressions.values import text

_STRIPPED = " \t\n\r\f\v"


@function("lower(s)", "In lower case.", 'lower("AbC")', "abc", method="lower", weight=4)
def lower(budget: Budget, s: Text) -> str:
    return string("lower", s).lower()


@function("upper(s)", "In upper case.", 'upper("AbC")', "ABC", method="upper", weight=4)
def upper(budget: Budget, s: Text) -> str:
    return string("upper", s).upper()


@function("title(s)", "Each word with a capital.", 'title("my day")', "My Day", method="title", weight=8)
def title(budget: Budget, s: Text) -> str:
    return string("title", s).title()


@function(
    "strip(s, characters)",
    "Without blanks (or `characters`) at both ends.",
    'strip(" a ")',
    "a",
    method="strip",
    weight=2,
)
def strip(budget: Budget, s: Text, characters: Text = _STRIPPED) -> str:
    return _stripped(budget, "strip", s, characters, str.strip)


def _stripped(budget: Budget, name: str, s: Text, characters: Text, strip: Callable[[str, str], str]) -> str:
    """Each character that goes is looked for among `characters`."""
    source, given = string(name, s), string(name, characters)
    if len(given) > 16:
        budget.charge(len(source) * len(given) // CHARACTERS)
        return strip(source, given)
    result = strip(source, given)
    budget.charge((len(source) - len(result)) // 8)
    return result


@function("lstrip(s, characters)", "The same at the start.", 'lstrip(" a")', "a", method="lstrip", weight=2)
def lstrip(budget: Budget, s: Text, characters: Text = _STRIPPED) -> str:
    return _stripped(budget, "lstrip", s, characters, str.lstrip)


@function("rstrip(s, characters)", "The same at the end.", 'rstrip("a ")', "a", method="rstrip", weight=2)
def rstrip(budget: Budget, s: Text, characters: Text = _STRIPPED) -> str:
    return _stripped(budget, "rstrip", s, characters, str.rstrip)


@function(
    "split(s, separator)",
    "Parts between separators, or words.",
    'split("a,b", ",")',
    ["a", "b"],
    method="split",
    weight=2,
)
def split(budget: Budget, s: Text, separator: Text | None = None) -> list[str]:
    between = string("split", separator) if separator is not None else None
    if between == "":
        raise fault("split() needs a separator that is not empty")
    source = string("split", s)
    if between is not None:
        budget.search(source, between)
        budget.search(source, between)
        if source.count(between) * 8 > MAX_SIZE:
            raise limit("split() makes a list of more than 1 MiB")
    parts = source.split(between, budget.left + 1)
    return _parts(budget, source, parts)


def _parts(budget: Budget, source: str, parts: list[str]) -> list[str]:
    budget.spend(len(parts))
    budget.make(len(parts) * VALUE + (len(source) if source.isascii() else 4 * len(source)))
    return parts


@function("join(list, separator)", "The texts of the elements, joined.", 'join(["a", "b"], "-")', "a-b")
def join(budget: Budget, items: List, separator: Text = "") -> str:
    glue = string("join", separator)
    pool: list[str] = []
    length = 0
    for item in sequence("join", items, budget):
        piece = text(item, budget)
        pool.append(piece)
        length += len(piece) + len(glue)
        if length > MAX_SIZE:
            raise limit("join() makes a string of more than 1 MiB")
    budget.charge(len(pool) + length // CHARACTERS)
    return glue.join(pool)


@function(
    "replace(s, old, new)", "All `old` made `new`.", 'replace("a-b", "-", "+")', "a+b", method="replace", weight=0
)
def replace(budget: Budget, s: Text, old: Text, new: Text) -> str:
    source, before, after = string("replace", s), string("replace", old), string("replace", new)
    if before == "":
        raise fault("replace() needs an `old` that is not empty")
    budget.search(source, before)
    budget.search(source, before)
    budget.charge(len(after) // CHARACTERS)
    if len(source) + source.count(before) * max(len(after) - len(before), 0) > MAX_SIZE:
        raise limit("replace() makes a string of more than 1 MiB")
    return source.replace(before, after)


@function(
    "starts_with(s, prefix)", "Whether it begins so.", 'starts_with("abc", "ab")', True, method="startswith", weight=0
)
def starts_with(budget: Budget, s: Text, prefix: Text) -> bool:
    start = string("starts_with", prefix)
    budget.charge(len(start) // CHARACTERS)
    return string("starts_with", s).startswith(start)


@function("ends_with(s, suffix)", "Whether it ends so.", 'ends_with("abc", "bc")', True, method="endswith", weight=0)
def ends_with(budget: Budget, s: Text, suffix: Text) -> bool:
    end = string("ends_with", suffix)
    budget.charge(len(end) // CHARACTERS)
    return string("ends_with", s).endswith(end)


@function("count(s, part)", "How often `part` stands in it.", 'count("abab", "ab")', 2, method="count", weight=0)
def count(budget: Budget, s: Text, part: Text) -> int:
    source, wanted = string("count", s), string("count", part)
    budget.search(source, wanted)
    return source.count(wanted)


@function("find(s, part)", "The first place of `part`, or -1.", 'find("abc", "c")', 2, method="find", weight=0)
def find(budget: Budget, s: Text, part: Text) -> int:
    source, wanted = string("find", s), string("find", part)
    budget.search(source, wanted)
    return source.find(wanted)


@function("contains(s, part)", "Whether `part` is in it; as `part in s`.", 'contains("abc", "b")', True, weight=0)
def contains(budget: Budget, s: Text | List | Object, part: Value) -> bool:
    if isinstance(s, (list, dict)):
        budget.spend(len(s))
    return within(part, s, budget)


@function(
    "slug(s)",
    "Lower-case letters (of every script), digits and hyphens only; never empty.",
    'slug("Crème Brûlée 你好!")',
    "creme-brulee-你好",
    weight=32,
)
def slug(budget: Budget, s: Text) -> str:
    if budget.number == 1:
        return _ascii_slug(s)
    source = string("slug", s)
    if not source.isascii():
        budget.charge(len(source) * 4)
        source = unicodedata.normalize("NFC", source)
    words = _letters(source.lower()).split()
    if not words:
        raise fault(f"slug() finds no letter and no digit in {show(s)}")
    return "-".join(words)


def _letters(source: str) -> str:
    """Letters and digits, all else as blanks. Latin loses its marks; in other scripts they belong to their letters."""
    if source.isascii():
        return _OTHERS.sub(" ", source)
    kept: list[str] = []
    for character in source:
        if character.isalnum():
            plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
            kept.append(plain if plain.isalnum() else character)
        elif unicodedata.category(character)[0] != "M":
            kept.append(" ")
        elif kept and kept[-1] != " " and not kept[-1].isascii():
            kept.append(character)
    return "".join(kept)


_OTHERS = re.compile(r"[^0-9a-z]+")


def _ascii_slug(s: Text) -> str:
    """As under the first set of bounds."""
    plain = unicodedata.normalize("NFKD", string("slug", s)).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())


@function("truncate(s, length)", "At most `length` characters.", 'truncate("abcdef", 3)', "abc", weight=0)
def truncate(budget: Budget, s: Text, length: Whole) -> str:
    cut = string("truncate", s)[: max(whole("truncate", length), 0)]
    budget.charge(len(cut) // CHARACTERS)
    return cut


@function("lines(s)", "The lines, without their ends.", 'lines("a\\nb")', ["a", "b"], steps=16, weight=2)
def lines(budget: Budget, s: Text) -> list[str]:
    source = string("lines", s)
    budget.charge(sum(map(source.count, _ENDS)))
    return _parts(budget, source, source.splitlines())


_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
