"""Texts of any size, line by line: read in pages, filtered, replaced, split; never whole in memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import msgspec

from plugins.actions._decode import ENCODINGS, MAX_ITEM, over
from plugins.actions._items import FACTS, LOOK_EVERY, Items, Match, Pattern, ReadItems, lines, pattern
from plugins.actions._paths import TwoPaths, locate
from plugins.actions._place import Place, errors, writing
from plugins.actions._thread import Stop, in_thread
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind

MAX_PARTS = 10_000


class LinesOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    skip: int = 0
    """Lines to pass over: `next` of the page before."""
    limit: int = 1000
    """How many to give, up to 10,000."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class FilterOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    to: str
    """The file to write; it appears whole."""
    pattern: str
    """A regular expression (RE2) that a line has somewhere."""
    invert: bool = False
    """Keeps the lines that do not have it."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class ReplaceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    to: str
    """The file to write, which may be the same; it appears whole."""
    pattern: str
    """A regular expression (RE2), looked for in each line."""
    by: str
    """What stands there instead; \\1 is the first group."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class SplitOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    to: str
    """The files to write: `{}` in the name is their number, from 1."""
    lines: int
    """Lines in each."""
    header: bool = False
    """Whether the first line stands in each."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class Lines(ReadItems[LinesOptions]):
    name = "text.lines"
    summary = "Gives lines of a text, a page at a time."
    Options = LinesOptions
    example = "call: text.lines\nwith:\n  path: app.log\n  limit: 100"

    def items(self, place: Place, options: LinesOptions) -> Items:
        return lines(place, options.encoding)


class RewriteOptions(TwoPaths, Protocol):
    @property
    def pattern(self) -> str: ...

    @property
    def encoding(self) -> str: ...


Rewriting = TypeVar("Rewriting", bound=RewriteOptions, contravariant=True)


class _Rewrite(ActionKind[Rewriting]):
    repeat = "safe"
    path_options = ("path", "to")
    reading_options = ("path",)
    result_fields = FACTS

    def rewrite(self, options: Rewriting, expression: Pattern, given: Iterator[str]) -> Iterator[tuple[str, int]]:
        """Lines to write, each with how many places counted."""
        raise NotImplementedError

    async def run(self, options: Rewriting, context: ActionContext) -> object:
        place, to = locate(context, "path", options.path), locate(context, "to", options.to)
        expression = pattern(options.pattern)

        def work(stop: Stop) -> object:
            count = 0
            with errors(place):
                with writing(to) as partial, partial.text(options.encoding) as file:
                    given = lines(place, options.encoding)
                    for number, (line, places) in enumerate(self.rewrite(options, expression, given)):
                        if number % LOOK_EVERY == 0:
                            stop.look()
                        file.write(line + "\n")
                        count += places
                return {**partial.result, "count": count}

        return await in_thread(work)


class Filter(_Rewrite[FilterOptions]):
    name = "text.filter"
    summary = "Keeps the lines that have a pattern; `count` is how many."
    Options = FilterOptions
    example = "call: text.filter\nwith: {path: app.log, to: errors.log, pattern: ' ERROR '}"

    def rewrite(self, options: FilterOptions, expression: Pattern, given: Iterator[str]) -> Iterator[tuple[str, int]]:
        for line in given:
            if (expression.search(line) is not None) != options.invert:
                yield line, 1


class Replace(_Rewrite[ReplaceOptions]):
    name = "text.replace"
    summary = "Replaces a pattern in each line; `count` is how often."
    Options = ReplaceOptions
    example = "call: text.replace\nwith: {path: a.txt, to: b.txt, pattern: colour, by: color}"

    def rewrite(self, options: ReplaceOptions, expression: Pattern, given: Iterator[str]) -> Iterator[tuple[str, int]]:
        put = filled(options.by, expression)
        for line in given:
            most = len(line) * (1 + options.by.count("\\"))
            if most + (len(line) + 1) * len(options.by) > MAX_ITEM:
                most += len(options.by) * sum(1 for _ in expression.finditer(line))
                if most > MAX_ITEM:
                    raise over("a line would have more than 16 MiB with what is put in")
            yield expression.subn(put, line)


_ESCAPE = re.compile(r"\\(?:g<(?P<name>\w+)>|(?P<number>[1-9][0-9]?)|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)


def filled(by: str, expression: Pattern) -> Callable[[Match], str]:
    """What stands in for a match. The library's own way reads the text as Latin-1."""
    parts: list[str | int] = []
    place = 0
    for found in _ESCAPE.finditer(by):
        parts.append(by[place : found.start()])
        place = found.end()
        group = found["number"] or found["name"]
        if group is None:
            parts.append(_escaped(found.group()))
            continue
        number = int(group) if group.isdigit() else expression.groupindex.get(group, -1)
        if not 0 <= number <= expression.groups:
            raise StepFailed("expression", f"by: the pattern has no group {group}", retryable=False)
        parts.append(number)
    parts.append(by[place:])
    return lambda match: "".join(part if isinstance(part, str) else match[part] or "" for part in parts)


def _escaped(escape: str) -> str:
    if escape[1] in "xunrtabfv":
        return codecs.decode(escape, "unicode_escape")
    return escape[1] if escape[1] == "\\" else escape


class Split(ActionKind[SplitOptions]):
    name = "text.split"
    summary = "Cuts a text into files of so many lines."
    repeat = "safe"
    path_options = ("path", "to")
    reading_options = ("path",)
    Options = SplitOptions
    result_fields = ("files", "count")
    example = 'call: text.split\nwith: {path: big.csv, to: "parts/{}.csv", lines: 10000, header: true}'

    async def run(self, options: SplitOptions, context: ActionContext) -> object:
        place, to = locate(context, "path", options.path), locate(context, "to", options.to)
        if "{}" not in to.name or options.lines < 1:
            raise StepFailed("expression", "`to` has {} in its name, and `lines` is at least 1", retryable=False)

        def work(stop: Stop) -> object:
            files: list[dict[str, object]] = []
            with errors(place):
                given = lines(place, options.encoding)
                head = next(given, None) if options.header else None
                line = next(given, None)
                while line is not None:
                    if len(files) == MAX_PARTS:
                        raise over(f"more than {MAX_PARTS:,} files")
                    target = to.beside(to.name.replace("{}", str(len(files) + 1)))
                    with writing(target) as partial, partial.text(options.encoding) as file:
                        if head is not None:
                            file.write(head + "\n")
                        for number in range(options.lines):
                            if line is None:
                                break
                            if number % LOOK_EVERY == 0:
                                stop.look()
                            file.write(line + "\n")
                            line = next(given, None)
                    files.append(partial.result)
            return {"files": files, "count": len(files)}

        return await in_thread(work)
