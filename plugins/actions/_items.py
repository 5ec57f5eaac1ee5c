"""Files of any size as streams of items (rows, values, elements, documents), read piece by piece."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, TextIO

import msgspec

from plugins.actions._paths import resolve
from plugins.actions._thread import Stop, in_thread
from plugins.actions.file import failed
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.event import rfc3339
from reactor.contracts.xml import element_value, local_name

MAX_ITEM = 16 * 1024 * 1024
MAX_PAGE = 10_000
LOOK_EVERY = 500
"""Items between two looks for a cancellation."""
ENCODINGS = Literal["utf-8", "utf-16", "latin-1", "windows-1252"]

Items = Iterator[Any]


def content(message: str) -> StepFailed:
    """What a file holds is not what it should be."""
    return StepFailed("file.content", message, retryable=False)


def csv_rows(path: Path, delimiter: str, header: bool, encoding: str) -> Items:
    """Rows as objects by the names of the first row, or as lists. RFC 4180, with `delimiter` for the comma."""
    with path.open("r", encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            names = next(reader, None) if header else None
            if names is not None and len(set(names)) != len(names):
                raise content(f"{path}: a name stands twice in the first row")
            for row in reader:
                if names is None:
                    yield row
                elif row:
                    if len(row) > len(names):
                        raise content(f"{path}, line {reader.line_num}: {len(row)} cells, but {len(names)} names")
                    yield dict(zip(names, [*row, *[None] * (len(names) - len(row))], strict=True))
        except csv.Error as error:
            raise content(f"{path}, line {reader.line_num}: {error}") from None


def json_values(path: Path, items: str | None) -> Items:
    """One value a line (NDJSON); or, with `items` (`data.rows`, `.` for the whole list), the elements of a list."""
    if items is None:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_ITEM + 1), b""), 1):
                if len(line) > MAX_ITEM:
                    raise content(f"{path}, line {number}: longer than 16 MiB; name the list with `items`")
                if line.strip():
                    try:
                        yield msgspec.json.decode(line)
                    except (msgspec.DecodeError, RecursionError) as error:
                        raise content(f"{path}, line {number}: {error} (one value a line; else name `items`)") from None
        return
    import ijson

    prefix = "item" if items == "." else f"{items}.item"
    with path.open("rb") as file:
        try:
            yield from ijson.items(file, prefix, use_float=True)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise content(f"{path}: {error}") from None


def xml_elements(path: Path, element: str) -> Items:
    """Elements of one name, each as an object: attributes as `@name`, text as `#text`, repeated children as lists.
    Entities and document types are refused."""
    import defusedxml
    import defusedxml.ElementTree

    try:
        root = None
        with path.open("rb") as file:
            for event, node in defusedxml.ElementTree.iterparse(file, ("start", "end"), forbid_dtd=True):
                if root is None:
                    root = node
                elif event == "end" and local_name(node.tag) == element:
                    yield element_value(node)
                    root.clear()
    except (defusedxml.DefusedXmlException, defusedxml.ElementTree.ParseError, UnicodeDecodeError) as error:
        raise content(f"{path}: {error}") from None


def yaml_documents(path: Path, encoding: str) -> Items:
    """The documents of a file. Plain data only: no tags that make objects."""
    import yaml

    with path.open("r", encoding="utf-8-sig" if encoding == "utf-8" else encoding) as file:
        try:
            for document in yaml.load_all(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                yield plain(document)
        except yaml.YAMLError as error:
            raise content(f"{path}: {str(error).splitlines()[0]}") from None


def plain(value: Any) -> Any:
    """YAML's dates as text, its keys as strings. Raises StepFailed for aliases that grow beyond 16 MiB."""
    try:
        encoded = msgspec.json.encode(value, enc_hook=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise content(f"no plain data: {error}") from None
    if len(encoded) > MAX_ITEM:
        raise content("a document has more than 16 MiB")
    return msgspec.json.decode(encoded)


@contextmanager
def replacing(path: Path, encoding: str = "utf-8", newline: str | None = "") -> Iterator[TextIO]:
    """A text file beside the target, synced and renamed over it when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_items(
    path: Path, items: Iterable[Any], into: str, columns: list[str] | None, stop: Stop, delimiter: str = ","
) -> int:
    """Writes items as ndjson, json (a list) or csv; how many. A csv takes its columns from the first row unless they
    are given."""
    count = 0
    with replacing(path) as file:
        if into == "json":
            file.write("[")
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n") if into == "csv" else None
        for item in items:
            if count % LOOK_EVERY == 0:
                stop.look()
            item = chosen(item, columns) if columns is not None else item
            if writer is not None:
                columns = _csv_row(writer, item, columns, count)
            elif into == "json":
                file.write(("\n" if count == 0 else ",\n") + msgspec.json.encode(item).decode())
            else:
                file.write(msgspec.json.encode(item).decode() + "\n")
            count += 1
        if into == "json":
            file.write("\n]\n" if count else "]\n")
    return count


def chosen(item: Any, columns: list[str]) -> Any:
    return {name: item.get(name) for name in columns} if isinstance(item, dict) else item


def _csv_row(writer: Any, item: Any, columns: list[str] | None, count: int) -> list[str] | None:
    if isinstance(item, list):
        writer.writerow([_cell(value) for value in item])
        return columns
    if not isinstance(item, dict):
        raise StepFailed("expression", "a row of a csv is an object or a list", retryable=False)
    if count == 0:
        columns = columns if columns is not None else list(item)
        writer.writerow(columns)
    assert columns is not None
    extra = set(item) - set(columns)
    if extra:
        raise content(f"item {count + 1} has {', '.join(sorted(extra))}, which the first has not; name `columns`")
    writer.writerow([_cell(item.get(name)) for name in columns])
    return columns


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def info(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"path": str(path), "size": status.st_size, "modified": rfc3339(status.st_mtime)}


class ReadItems:
    """A page of a file's items."""

    needs: ClassVar[str | None] = None
    paths: ClassVar[tuple[str, ...]] = ("path",)
    reads: ClassVar[tuple[str, ...]] = ("path",)
    repeat = "safe"
    result_fields = ("items", "count", "next")

    def items(self, path: Path, options: Any) -> Items:
        raise NotImplementedError

    async def run(self, options: Any, context: ActionContext) -> Any:
        path = resolve(context, "path", options.path)
        if not options.skip >= 0 or not 1 <= options.limit <= MAX_PAGE:
            raise StepFailed("expression", f"skip is at least 0, limit is from 1 to {MAX_PAGE:,}", retryable=False)
        return await in_thread(lambda stop: self._page(path, options, stop))

    def _page(self, path: Path, options: Any, stop: Stop) -> Any:
        found: list[Any] = []
        with errors(path):
            for number, item in enumerate(self.items(path, options)):
                if number % LOOK_EVERY == 0:
                    stop.look()
                if number < options.skip:
                    continue
                if len(found) == options.limit:
                    return {"items": found, "count": len(found), "next": number}
                found.append(item)
        return {"items": found, "count": len(found), "next": None}


class ConvertItems:
    """All items of a file into another file."""

    needs: ClassVar[str | None] = None
    paths: ClassVar[tuple[str, ...]] = ("path", "to")
    reads: ClassVar[tuple[str, ...]] = ("path",)
    repeat = "safe"
    result_fields = ("path", "size", "modified", "count")

    def items(self, path: Path, options: Any) -> Items:
        raise NotImplementedError

    async def run(self, options: Any, context: ActionContext) -> Any:
        path, to = resolve(context, "path", options.path), resolve(context, "to", options.to)
        return await in_thread(lambda stop: self._convert(path, to, options, stop))

    def _convert(self, path: Path, to: Path, options: Any, stop: Stop) -> Any:
        into = options.into or {".csv": "csv", ".json": "json"}.get(to.suffix.lower(), "ndjson")
        with errors(path):
            count = write_items(to, self.items(path, options), into, options.columns, stop)
            return {**info(to), "count": count}


@contextmanager
def errors(path: Path) -> Iterator[None]:
    """Operating system and decoding errors as a step's."""
    try:
        yield
    except OSError as error:
        raise failed(error, path) from None
    except UnicodeError as error:
        raise content(f"{path}: {error}") from None


def lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text, without their ends. Raises StepFailed for one over 16 MiB."""
    with path.open("r", encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline=None) as file:
        while line := file.readline(MAX_ITEM + 1):
            if len(line) > MAX_ITEM:
                raise content(f"{path} has a line over 16 MiB")
            yield line.removesuffix("\n")


def pattern(text: str) -> Callable[[str], Any]:
    """A regular expression in linear time (RE2). Raises StepFailed."""
    import re2

    try:
        return re2.compile(text)  # type: ignore[no-any-return]
    except re2.error as error:
        raise StepFailed("expression", f"{text!r} is no regular expression: {error}", retryable=False) from None
