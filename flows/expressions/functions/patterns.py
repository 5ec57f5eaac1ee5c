"""Regular expressions. They run on RE2, in time linear in the text and the size of the pattern."""

from __future__ import annotations

import functools
import re
from typing import Any

from flows.expressions.bounds import CHARACTERS, Budget
from flows.expressions.functions._arguments import string
from flows.expressions.table import function
from flows.expressions.values import fault, hiding, show

MAX_PATTERN = 1000


@functools.lru_cache(256)
def pattern(source: str, groups: bool) -> Any:
    """A compiled RE2 pattern, with its groups or only to say whether it is found. Raises StepFailed for one that RE2
    does not know."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    options.never_capture = not groups
    if len(source) > MAX_PATTERN:
        raise fault("a pattern has at most 1,000 characters")
    try:
        return re2.compile(source, options)
    except re2.error as error:
        message = error.args[0] if error.args else error
        raise fault(f"the pattern {show(source)} is not understood{_words(message)}") from None


def _words(message: Any) -> str:
    """What RE2 says; it quotes the pattern."""
    words = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return "" if hiding.get() else f": {words}"


@function(
    "matches(s, pattern)", "Whether the regular expression is found in it.", 'matches("ab12", "[0-9]+")', True, weight=0
)
def matches(budget: Budget, s: Any, expression: Any) -> Any:
    source, wanted = string("matches", s), string("matches", expression)
    _charge(budget, source, wanted, 1)
    return pattern(wanted, False).search(source) is not None


def _charge(budget: Budget, source: str, wanted: str, passes: int) -> None:
    """RE2 walks the text once, at worst with every part of the pattern in hand."""
    size = weight(wanted[:MAX_PATTERN])
    budget.compile(wanted, size)
    budget.charge(4 + len(source) * (4 + size // 4) * passes // CHARACTERS)


@functools.lru_cache(256)
def weight(wanted: str) -> int:
    """About how many instructions RE2 makes of a pattern: its characters, repeated ones as often as it says."""
    sizes = [0]
    last = 0
    place = 0
    while place < len(wanted):
        character = wanted[place]
        if character == "(":
            sizes.append(0)
        elif character == ")" and len(sizes) > 1:
            last = sizes.pop()
            sizes[-1] += last
        elif character == "{" and (found := _REPEATED.match(wanted, place)) is not None:
            times = max(int(number or 1) for number in found.groups())
            sizes[-1] += last * max(min(times, 1000) - 1, 0)
            last *= max(min(times, 1000), 1)
            place = found.end() - 1
        else:
            place += character == "\\"
            last = 1 if character.isascii() else 4
            last = 8 if character in "\\." or character == "[" else last
            sizes[-1] += last
        place += 1
    return sum(sizes)


_REPEATED = re.compile(r"\{([0-9]{1,6})(?:,([0-9]{0,6}))?\}")


@function(
    "extract(s, pattern)",
    "What the regular expression finds: the first group, or an object of the named ones; null when nothing.",
    'extract("id=42", "id=([0-9]+)")',
    "42",
    weight=0,
)
def extract(budget: Budget, s: Any, expression: Any) -> Any:
    source, wanted = string("extract", s), string("extract", expression)
    _charge(budget, source, wanted, 4)
    compiled = pattern(wanted, True)
    found = compiled.search(source)
    if found is None:
        return None
    if compiled.groupindex:
        return {name: found.group(name) for name in sorted(compiled.groupindex, key=compiled.groupindex.get)}
    return found.group(1) if compiled.groups else found.group(0)
