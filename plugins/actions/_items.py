"""Files of any size as streams of items (rows, values, elements, lines), read piece by piece within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Protocol, TypeVar

import msgspec

from plugins.actions._csv import CsvWriter
from plugins.actions._decode import (
    MAX_DEPTH,
    MAX_ITEM,
    JsonText,
    Recoded,
    as_json,
    content,
    json_value,
    over,
    text_of,
    too_deep,
)
from plugins.actions._paths import OnePath, TwoPaths, locate
from plugins.actions._place import Place, errors, writing
from plugins.actions._thread import Stop, in_thread
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.kit.formulas import Formulas
from reactor.kit.xml import XmlLimit, XmlValues

MAX_PAGE = 10_000
MAX_PAGE_SIZE = 15 * 1024 * 1024
"""Bytes of a page as JSON: a page ends before it has more."""
MAX_VALUES = 1_000_000
"""Texts, numbers, lists and objects in one element of a JSON list."""
MAX_TAG = 1024 * 1024
"""Bytes of one piece of XML (a tag, a comment) between two that the parser tells of."""
CHUNK = 64 * 1024
LOOK_EVERY = 500
"""Items between two looks for a cancellation."""

FACTS = ("path", "path_bytes", "name", "name_bytes", "size", "modified", "count")
Items = Iterator[object]


def json_values(place: Place, items: str | None, encoding: str) -> Items:
    """One value a line (NDJSON); or, with `items` (`data.rows`, `.` for the whole list), the elements of a list."""
    with text_of(place, encoding) as text:
        if items is not None:
            source = JsonText(text, str(place), MAX_ITEM + 2 * CHUNK)
            yield from _elements_of_list(place, source, "item" if items == "." else f"{items}.item")
            return
        for number, line in enumerate(iter(lambda: text.line(MAX_ITEM + 1), ""), 1):
            if len(line) > MAX_ITEM:
                raise over(f"{place}, line {number}: longer than 16 MiB; name the list with `items`")
            if line.strip():
                try:
                    yield json_value("", line)
                except StepFailed as error:
                    said = f"{place}, line {number}{error}"
                    if error.type == "limit":
                        raise over(said) from None
                    raise content(f"{said} (one value a line; else name the list with `items`)") from None


def _elements_of_list(place: Place, file: JsonText, prefix: str) -> Items:
    """Elements one by one; each is counted while it is built, so that none grows beyond the bounds."""
    import ijson

    builder: Any = None
    values = size = depth = 0
    path = _Path(prefix)
    try:
        for event, value in ijson.basic_parse(file, use_float=True):
            file.silent = 0
            if builder is None:
                if not path.follow(event, value):
                    if path.depth > MAX_DEPTH:
                        raise too_deep(str(place))
                    continue
                builder, values, size, depth = ijson.ObjectBuilder(), 0, 0, 0
            builder.event(event, value)
            if event in ("start_map", "start_array"):
                depth += 1
                if depth > MAX_DEPTH:
                    raise too_deep(str(place))
            elif event in ("end_map", "end_array"):
                depth -= 1
            values += 1
            size += len(value) if isinstance(value, str) else 1
            if values > MAX_VALUES or size > MAX_ITEM:
                raise over(f"{place}: an element has more than {MAX_VALUES:,} values or 16 MiB")
            if depth == 0:
                yield builder.value
                builder = None
    except ijson.JSONError as error:
        raise content(f"{place}: {str(error).splitlines()[0]}") from None


class _Path:
    """Where in a document the parser is, as far as it may still lead to the wanted place."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._key = ""
        self._levels: list[tuple[str | None, bool]] = []
        """Of each open list or object: its path, None when it leads elsewhere, and whether it is a list."""

    @property
    def depth(self) -> int:
        return len(self._levels)

    def follow(self, event: str, value: Any) -> bool:
        """Whether the event begins a value at the wanted place; then it is not a level here."""
        if event == "map_key":
            self._key = value
            return False
        if event in ("end_map", "end_array"):
            self._levels.pop()
            return False
        here = self._here()
        if here is not None and here == self._wanted:
            return True
        if event in ("start_map", "start_array"):
            leads = here == "" or (here is not None and self._wanted.startswith(here + "."))
            self._levels.append((here if leads else None, event == "start_array"))
        return False

    def _here(self) -> str | None:
        if not self._levels:
            return ""
        above, in_list = self._levels[-1]
        if above is None:
            return None
        part = "item" if in_list else self._key
        return f"{above}.{part}" if above else part


def xml_elements(place: Place, element: str, encoding: str | None) -> Items:
    """Elements of one name, each as an object. Entities and document types are refused. The encoding is the one that
    the file declares unless it is given."""
    if encoding is not None:
        with text_of(place, encoding) as text:
            yield from _parsed_xml(place, Recoded(text), element, "utf-8")
    else:
        with place.reading() as file:
            yield from _parsed_xml(place, file, element, None)


def _parsed_xml(place: Place, file: BinaryIO | Recoded, element: str, encoding: str | None) -> Items:
    import defusedxml
    import defusedxml.ElementTree

    values = _Told(element)
    parser = defusedxml.ElementTree.DefusedXMLParser(target=values, forbid_dtd=True, encoding=encoding)
    silent = 0
    try:
        while part := file.read(CHUNK):
            values.told = False
            parser.feed(part)
            silent = 0 if values.told else silent + len(part)
            if silent > MAX_TAG:
                raise XmlLimit(f"a tag, comment or declaration has more than {MAX_TAG:,} bytes")
            yield from values.values
            values.values.clear()
        parser.close()
        yield from values.values
    except XmlLimit as error:
        raise over(f"{place}: {error}") from None
    except (defusedxml.DefusedXmlException, defusedxml.ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise content(f"{place}: {error or type(error).__name__}") from None


class _Told(XmlValues):
    """Knows whether the parser told of anything: what it holds back grows in its own memory."""

    told = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.told = True
        super().start(tag, attributes)

    def data(self, text: str) -> None:
        self.told = True
        super().data(text)

    def end(self, tag: str) -> None:
        self.told = True
        super().end(tag)

    def comment(self, text: str) -> None:
        self.told = True

    def pi(self, target: str, data: str | None = None) -> None:
        self.told = True


def lines(place: Place, encoding: str) -> Iterator[str]:
    """The lines of a text, without their ends. Raises StepFailed for one over 16 MiB."""
    with text_of(place, encoding, None) as text:
        while line := text.line(MAX_ITEM + 1):
            if len(line) > MAX_ITEM:
                raise over(f"{place} has a line over 16 MiB")
            yield line.removesuffix("\n")


def write_items(
    place: Place, items: Iterable[Any], into: str, columns: list[str] | None, stop: Stop, delimiter: str = ",",
    formulas: Formulas = "escape",
) -> dict[str, object]:  # fmt: skip
    """Writes items as ndjson, json (a list) or csv; the file's facts and how many."""
    count = 0
    with writing(place) as partial, partial.text() as file:
        if into == "json":
            file.write("[")
        rows = CsvWriter(file, columns, delimiter, formulas) if into == "csv" else None
        for item in items:
            if count % LOOK_EVERY == 0:
                stop.look()
            item = chosen(item, columns) if columns is not None else item
            if rows is not None:
                rows.write(item)
            elif into == "json":
                file.write(("\n" if count == 0 else ",\n") + as_json(item).decode())
            else:
                file.write(as_json(item).decode() + "\n")
            count += 1
        if into == "json":
            file.write("\n]\n" if count else "]\n")
    return {**partial.result, "count": count}


def chosen(item: object, columns: list[str]) -> object:
    return {name: item.get(name) for name in columns} if isinstance(item, dict) else item


class PageOptions(OnePath, Protocol):
    @property
    def skip(self) -> int: ...

    @property
    def limit(self) -> int: ...


class ConvertOptions(TwoPaths, Protocol):
    @property
    def into(self) -> str | None: ...

    @property
    def columns(self) -> list[str] | None: ...

    @property
    def formulas(self) -> Formulas: ...


Page = TypeVar("Page", bound=PageOptions, contravariant=True)
Conversion = TypeVar("Conversion", bound=ConvertOptions, contravariant=True)


class ReadItems(ActionKind[Page]):
    """A page of a file's items."""

    path_options = ("path",)
    reading_options = ("path",)
    repeat = "safe"
    result_fields = ("items", "count", "next")

    def items(self, place: Place, options: Page) -> Items:
        raise NotImplementedError

    async def run(self, options: Page, context: ActionContext) -> object:
        place = locate(context, "path", options.path)
        if not options.skip >= 0 or not 1 <= options.limit <= MAX_PAGE:
            raise StepFailed("expression", f"skip is at least 0, limit is from 1 to {MAX_PAGE:,}", retryable=False)
        return await in_thread(lambda stop: self._page(place, options, stop))

    def _page(self, place: Place, options: Page, stop: Stop) -> object:
        found: list[object] = []
        size = 0
        with errors(place):
            for number, item in enumerate(self.items(place, options)):
                if number % LOOK_EVERY == 0:
                    stop.look()
                if number < options.skip:
                    continue
                size += len(msgspec.json.encode(item)) + 1
                if len(found) == options.limit or (found and size > MAX_PAGE_SIZE):
                    return {"items": found, "count": len(found), "next": number}
                found.append(item)
        return {"items": found, "count": len(found), "next": None}


class ConvertItems(ActionKind[Conversion]):
    """All items of a file into another file."""

    path_options = ("path", "to")
    reading_options = ("path",)
    repeat = "safe"
    result_fields = FACTS

    def items(self, place: Place, options: Conversion) -> Items:
        raise NotImplementedError

    async def run(self, options: Conversion, context: ActionContext) -> object:
        place, to = locate(context, "path", options.path), locate(context, "to", options.to)

        def work(stop: Stop) -> object:
            into = options.into or {".csv": "csv", ".json": "json"}.get(to.suffix, "ndjson")
            with errors(place):
                items = self.items(place, options)
                return write_items(to, items, into, options.columns, stop, formulas=options.formulas)

        return await in_thread(work)


class Match(Protocol):
    def __getitem__(self, group: int) -> str | None: ...


class Pattern(Protocol):
    """A compiled regular expression."""

    groups: int
    groupindex: dict[str, int]

    def search(self, text: str) -> Match | None: ...

    def finditer(self, text: str) -> Iterator[Match]: ...

    def subn(self, put: Callable[[Match], str], text: str) -> tuple[str, int]: ...


def pattern(text: str) -> Pattern:
    """A regular expression in linear time (RE2). Raises StepFailed."""
    import re2

    try:
        return re2.compile(text)  # type: ignore[no-any-return]
    except re2.error as error:
        raise StepFailed(
            "expression", f"{text!r} is not a valid regular expression: {error}", retryable=False
        ) from None
