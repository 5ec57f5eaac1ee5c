"""Regular expressions. They run on RE2, in time linear in the text and the size of the pattern."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from flows.expressions.bounds import CHARACTERS, Budget, FirstBounds
from flows.expressions.functions._arguments import string
from flows.expressions.messages import fault, hiding, show
from flows.expressions.table import Text, function

MAX_PATTERN = 1000
KEPT = 64
"""Compiled patterns that the process keeps; each takes up to its memory while it is used."""
READY = 24
"""Patterns of one evaluation that are sure to be kept until they are used again."""
FIRST_MEMORY, MEMORY = 8 << 20, 1 << 20


class Size(NamedTuple):
    """About what RE2 makes of a pattern: `atoms` are characters and classes, `instructions` what they become in UTF-8;
    what is repeated counts as often as it says. `counted`: it has a repetition such as {3}."""

    atoms: int
    instructions: int
    counted: bool


_REPEATED = re.compile(r"\{([0-9]{1,6})(?:,([0-9]{0,6}))?\}")
_ATOM = re.compile(r"\\[pP](?:\{[^}]*\}|.)|\\.|\[\^?\]?(?:\\[pP]\{[^}]*\}|\\.|\[:[^:\]]*:\]|[^\]\\])*\]?|.", re.DOTALL)
UNICODE = 700
"""Instructions of a class of Unicode such as `\\pL`."""


@functools.lru_cache(256)
def size_of(wanted: str) -> Size:
    groups = [(0, 0)]
    last = (0, 0)
    counted = False
    place = 0
    while place < len(wanted):
        repeated = _REPEATED.match(wanted, place)
        if repeated is not None:
            counted = True
            times = max(1, *(min(int(number), 1000) for number in repeated.groups() if number))
            groups[-1] = (groups[-1][0] + last[0] * (times - 1), groups[-1][1] + last[1] * (times - 1))
            last = (last[0] * times, last[1] * times)
            place = repeated.end()
            continue
        found = _ATOM.match(wanted, place)
        atom = found.group() if found is not None else wanted[place]
        place += len(atom)
        if atom == "(":
            groups.append((0, 0))
            continue
        last = groups.pop() if atom == ")" and len(groups) > 1 else (1, _instructions(atom))
        groups[-1] = (groups[-1][0] + last[0], groups[-1][1] + last[1])
    return Size(sum(atoms for atoms, _ in groups), sum(made for _, made in groups), counted)


def _instructions(atom: str) -> int:
    unicode = len(re.findall(r"\\[pP]", atom))
    if unicode:
        return UNICODE * unicode
    if atom.startswith("["):
        return 8 + 4 * sum(not character.isascii() for character in atom) + (12 if atom.startswith("[^") else 0)
    if atom in (".", "\\D", "\\W", "\\S"):
        return 16
    return 1 if atom.isascii() else 4


@functools.lru_cache(KEPT)
def pattern(source: str, groups: bool, memory: int) -> Any:
    """A compiled RE2 pattern, with its groups or only to say whether it is found. Raises StepFailed for one that RE2
    does not know."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    options.never_capture = not groups
    if len(source) > MAX_PATTERN:
        raise fault(f"a pattern has at most {MAX_PATTERN:,} characters")
    try:
        return re2.compile(source, options)
    except re2.error as error:
        message = error.args[0] if error.args else error
        raise fault(f"the pattern {show(source)} is not understood{_words(message)}") from None


def _words(message: Any) -> str:
    """What RE2 says; it quotes the pattern."""
    words = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return "" if hiding.get() else f": {words}"


def _compiled(budget: Budget, source: str, wanted: str, groups: bool) -> Any:
    """The pattern, after its compilation and its search in the text are paid. RE2 walks the text once. It is slow where
    a counted repetition lets it stand in many places of the pattern at once, and where it must find groups."""
    size = size_of(wanted[:MAX_PATTERN])
    budget.compile(wanted, size.instructions, READY)
    each = 4 + (2 * size.atoms if size.counted or groups else size.atoms // 4) + (12 if groups else 0)
    budget.charge(8 + len(source) * each // CHARACTERS)
    return pattern(wanted, groups, FIRST_MEMORY if budget.number == FirstBounds.number else MEMORY)


@function(
    "matches(s, pattern)",
    "Whether the regular expression is found in it.",
    'matches("ab12", "[0-9]+")',
    True,
    weight=0,
)
def matches(budget: Budget, s: Text, expression: Text) -> bool:
    return _compiled(budget, string("matches", s), string("matches", expression), False).search(s) is not None


@function(
    "extract(s, pattern)",
    "What the regular expression finds: the first group, or an object of the named ones; null when nothing.",
    'extract("id=42", "id=([0-9]+)")',
    "42",
    weight=0,
)
def extract(budget: Budget, s: Text, expression: Text) -> str | dict[str, str] | None:
    compiled = _compiled(budget, string("extract", s), string("extract", expression), True)
    found = compiled.search(s)
    if found is None:
        return None
    if compiled.groupindex:
        return {name: found.group(name) for name in sorted(compiled.groupindex, key=compiled.groupindex.get)}
    first: str | None = found.group(1) if compiled.groups else found.group(0)
    return first
