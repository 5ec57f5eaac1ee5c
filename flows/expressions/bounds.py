"""The bounds of one evaluation. They are counted, never timed, so that a journal folds the same on any machine; each
set of bounds has a number (`reactor.contracts.plan.BOUNDS`), and a run keeps the set that it began with.

Rules: what a built-in reads, compares or makes is charged *before* it is done, from sizes that are known at once. A
charge depends on the values alone, never on a cache or a clock. tests/bench/expressions.py measures what a step is
worth."""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.contracts.errors import StepFailed
from reactor.contracts.plan import BOUNDS_NAME, Names

MAX_BITS = 128
MAX_SIZE = 1024 * 1024
FIRST_STEPS = 10_000
MAX_STEPS = 100_000
MAX_MADE = 16 * 1024 * 1024
CHARACTERS = 64
"""Characters of text that one step reads or makes."""
ELEMENT = 8
"""Bytes of one place in a list."""
ENTRY = 128
"""Bytes of one key of an object."""
VALUE = 64
"""Bytes that a small value takes."""

MAX_DEPTH = 128
"""Lists and objects inside each other that an expression compares, makes or reads from text."""

_encoder = msgspec.json.Encoder()


def limit(message: str) -> StepFailed:
    return StepFailed("limit", message)


def too_deep() -> StepFailed:
    return limit("the value is nested too deeply")


class Budget:
    """Bounds number 2: every operator, function and method pays for its work, and for what it makes."""

    number = 2
    left = MAX_STEPS
    room = MAX_MADE
    fresh: dict[int, Any] | None = None
    known: dict[int, tuple[Any, int]] | None = None
    patterns: set[str] | None = None
    # defaults of the class: most evaluations charge nothing, and a new budget costs each of them

    def spend(self, steps: int) -> None:
        """Work that every set of bounds charges: elements that a function walks."""
        self.left -= steps
        if self.left < 0:
            raise limit(f"the expression takes more than {MAX_STEPS:,} steps")

    def charge(self, steps: int) -> None:
        """Work that the first set of bounds did not charge."""
        self.left -= steps
        if self.left < 0:
            raise limit(f"the expression takes more than {MAX_STEPS:,} steps")

    def turn(self, steps: int) -> None:
        """One turn of a comprehension, with so many parts."""
        self.left -= steps
        if self.left < 0:
            raise limit(f"the expression takes more than {MAX_STEPS:,} steps")

    def make(self, size: int) -> None:
        """Bytes that the evaluation makes."""
        self.room -= size
        if self.room < 0:
            raise limit("the expression makes more than 16 MiB in all")

    def element(self, steps: int, size: int) -> None:
        """One element of a comprehension's result."""
        self.left -= steps
        if self.left < 0:
            raise limit(f"the expression takes more than {MAX_STEPS:,} steps")
        self.room -= size
        if self.room < 0:
            raise limit("the expression makes more than 16 MiB in all")

    def made(self, text: str) -> str:
        """Charges a text that was made. The caller bounds its length before it makes it."""
        self.make(VALUE + (len(text) if text.isascii() else 4 * len(text)))
        return text

    def search(self, text: str, part: str) -> None:
        """Looking for a part in a text; a part of up to a hundred characters is compared at each place."""
        self.charge(len(text) * (8 + min(len(part), 100)) // (8 * CHARACTERS) + len(part) // CHARACTERS)

    def compile(self, pattern: str, size: int, ready: int) -> None:
        """A regular expression of so many instructions, or a format of dates: once an evaluation, while it has not more
        than `ready` of them."""
        if self.patterns is None:
            self.patterns = set()
        if pattern not in self.patterns or len(self.patterns) > ready:
            self.patterns.add(pattern)
            self.charge(100 + size * 4)

    def keep(self, value: Any) -> None:
        """Notes a list or object that the evaluation made: only these may hold one value many times."""
        if self.fresh is None:
            self.fresh = {}
        self.fresh[id(value)] = value

    def weigh(self, value: Any) -> int:
        """The size of a value as JSON, each mention counted: a list may hold one large value a thousand times. What
        the event and earlier steps brought is measured once, in C. Charged for its characters."""
        kind = type(value)
        if kind is str:
            size = len(value)
        elif kind is list or kind is tuple or kind is dict:
            if self.known is None:
                self.known = {}
            try:
                size = self._weigh(value, self.fresh or {}, self.known)
            except RecursionError:
                raise too_deep() from None
        else:
            return 8
        self.charge(size // CHARACTERS)
        return size

    def _weigh(self, value: Any, fresh: dict[int, Any], known: dict[int, tuple[Any, int]]) -> int:
        kind = type(value)
        if kind is str:
            return len(value) + 2
        if kind is not list and kind is not dict and kind is not tuple:
            return 8
        found = known.get(id(value))
        if found is not None:
            return found[1]
        if id(value) in fresh:
            size = 2
            self.charge(4 + len(value))
            if kind is dict:
                size += sum(map(len, value)) + 4 * len(value)
                value_items = value.values()
            else:
                size += len(value)
                value_items = value
            for item in value_items:
                inside = type(item)
                if inside is list or inside is dict:
                    size += self._weigh(item, fresh, known)
                else:
                    size += len(item) + 2 if inside is str else 8
        else:
            self.charge(4)
            size = len(_encoder.encode(value))
        if size > MAX_MADE:
            raise limit("the value of the expression is more than 16 MiB of JSON")
        known[id(value)] = (value, size)
        return size


class FirstBounds(Budget):
    """Bounds number 1: turns of comprehensions and elements that functions walk, nothing else."""

    number = 1
    left = FIRST_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise limit(f"the expression takes more than {FIRST_STEPS:,} steps")

    def charge(self, steps: int) -> None:
        """Free."""

    def turn(self, steps: int) -> None:
        self.spend(1)

    def make(self, size: int) -> None:
        """Free."""

    def element(self, steps: int, size: int) -> None:
        """Free."""

    def compile(self, pattern: str, size: int, ready: int) -> None:
        """Free."""

    def keep(self, value: Any) -> None:
        """Not needed."""

    def weigh(self, value: Any) -> int:
        return 0


def bounds_of(names: Names) -> Budget:
    """A new budget of the set of bounds that the names of a run ask for; the present one where they ask for none."""
    return Budget() if names.get(BOUNDS_NAME) != FirstBounds.number else FirstBounds()
