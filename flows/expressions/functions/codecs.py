"""Formats, encodings and digests."""

from __future__ import annotations

import base64 as _base64
import binascii
import csv as _csv
import hashlib
import hmac
import io
import urllib.parse
from typing import Any

import msgspec
import yaml as _yaml

from flows.expressions.bounds import CHARACTERS, MAX_DEPTH, MAX_SIZE, VALUE, Budget, limit, too_deep
from flows.expressions.functions._arguments import sequence, string
from flows.expressions.messages import fault, show
from flows.expressions.table import List, Text, Value, Whole, function
from flows.expressions.values import text
from reactor.kit.formulas import csv_cell


@function("json(x)", "A value as JSON text.", "json([1, null])", "[1,null]", steps=10)
def json(budget: Budget, x: Value) -> str:
    budget.weigh(x)
    return msgspec.json.encode(x).decode()


@function("from_json(s)", "The value that a JSON text stands for.", "from_json('{\"a\": 1}')", {"a": 1}, steps=10)
def from_json(budget: Budget, s: Text) -> Any:
    source = string("from_json", s)
    commas, lists, objects = source.count(","), source.count("["), source.count("{")
    budget.spend(commas // 16)
    budget.charge((commas + lists + objects) // 2)
    budget.make(len(source) + VALUE * (commas + 2 * lists + 4 * objects))
    if budget.number > 1:
        source = source.removeprefix("\ufeff")
    try:
        value = msgspec.json.decode(source.encode())
    except (msgspec.DecodeError, RecursionError) as error:
        raise fault(f"from_json() cannot read its text: {error}") from None
    if budget.number > 1 and lists + objects > MAX_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise too_deep()
        inside: list[Any] = []
        for one in level:
            if type(one) is list:
                inside += [item for item in one if type(item) in (list, dict)]
            elif type(one) is dict:
                inside += [item for item in one.values() if type(item) in (list, dict)]
        level = inside


@function("yaml(x)", "A value as YAML text.", 'yaml({"a": [1]})', "a:\n- 1\n", steps=600)
def yaml(budget: Budget, x: Value) -> str:
    budget.weigh(x)
    encoded = msgspec.json.encode(x)
    if len(encoded) > MAX_SIZE // 16:
        raise limit("yaml() takes values of up to 64 KiB")
    budget.charge(sum(map(encoded.count, b",:[{")) * 150 + len(encoded) * 4)
    return _yaml.safe_dump(x, sort_keys=False, allow_unicode=True)


@function(
    "csv(s, separator)",
    "The rows of a CSV text (RFC 4180) as objects, named by its first row.",
    'csv("a,b\\n1,2\\n")',
    [{"a": "1", "b": "2"}],
    steps=24,
    weight=4,
)
def csv(budget: Budget, s: Text, separator: Text = ",") -> list[dict[str, str]]:
    between = string("csv", separator)
    if len(between) != 1:
        raise fault("csv() needs a separator of one character")
    rows: list[dict[str, str]] = []
    try:
        reader = _csv.reader(io.StringIO(string("csv", s).removeprefix("\ufeff")), delimiter=between, strict=True)
        header = next(reader, None)
        for row in reader:
            budget.spend(1)
            budget.charge(4 + len(row))
            budget.make(VALUE * 2 * len(row) + 4 * sum(map(len, row)))
            if row and header:
                if len(row) != len(header):
                    raise fault(f"csv() line {reader.line_num} has {len(row)} fields, the first line {len(header)}")
                rows.append(dict(zip(header, row, strict=True)))
    except _csv.Error as error:
        raise fault(f"csv() cannot read its text: {error}") from None
    return rows


@function(
    "to_csv(list, separator, formulas)",
    "Objects as CSV text with a first row of names. A cell that a spreadsheet would run as a formula gets a `'` in"
    ' front; `formulas="keep"` leaves it.',
    'to_csv([{"a": 1, "b": "=1+1"}])',
    "a,b\r\n1,'=1+1\r\n",
)
def to_csv(budget: Budget, rows: List, separator: Text = ",", formulas: Text = "escape") -> str:
    between = string("to_csv", separator)
    if len(between) != 1:
        raise fault("to_csv() needs a separator of one character")
    if formulas not in ("escape", "keep"):
        raise fault(f'to_csv() takes "escape" or "keep" for formulas, not {show(formulas)}')
    if budget.number == 1:
        formulas = "keep"
    pool = sequence("to_csv", rows, budget)
    out = io.StringIO()
    writer = _csv.writer(out, delimiter=between)
    names: list[str] = list(pool[0]) if pool and isinstance(pool[0], dict) else []
    length = sum(map(len, names))
    budget.charge(len(names) * 4 + length // CHARACTERS)
    writer.writerow([csv_cell(name, formulas) for name in names])
    for row in pool:
        if not isinstance(row, dict):
            raise fault("to_csv() needs a list of objects")
        budget.spend(len(names))
        budget.charge(len(names) * 4)
        cells = []
        for name in names:
            cell = text(row[name], budget) if row.get(name) is not None else ""
            length += len(cell)
            if length > MAX_SIZE:
                raise limit("to_csv() makes a string of more than 1 MiB")
            budget.charge(len(cell) * 4 // CHARACTERS)
            cells.append(csv_cell(cell, formulas))
        writer.writerow(cells)
        if out.tell() > MAX_SIZE:
            raise limit("to_csv() makes a string of more than 1 MiB")
    return out.getvalue()


@function("base64(s)", "In base64 (RFC 4648), of its UTF-8.", 'base64("hi")', "aGk=")
def base64(budget: Budget, s: Text) -> str:
    return _base64.b64encode(string("base64", s).encode()).decode()


@function("unbase64(s)", "The text behind base64.", 'unbase64("aGk=")', "hi", weight=2)
def unbase64(budget: Budget, s: Text) -> str:
    try:
        return _base64.b64decode(string("unbase64", s), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise fault("unbase64() needs base64 of UTF-8 text") from None


@function("hex(s)", "The UTF-8 of a string, or a whole number, in hexadecimal.", "hex(255)", "ff")
def hexadecimal(budget: Budget, x: Text | Whole) -> str:
    if isinstance(x, int) and not isinstance(x, bool):
        return f"{x:x}"
    return string("hex", x).encode().hex()


@function(
    "sha256(s)",
    "The SHA-256 digest (FIPS 180-4) of its UTF-8, in hexadecimal.",
    'sha256("abc")',
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    steps=8,
)
def sha256(budget: Budget, s: Text) -> str:
    return hashlib.sha256(string("sha256", s).encode()).hexdigest()


@function(
    "hmac_sha256(key, s)",
    "The keyed digest (RFC 2104), in hexadecimal.",
    'hmac_sha256("key", "The quick brown fox jumps over the lazy dog")',
    "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
    steps=12,
)
def hmac_sha256(budget: Budget, key: Text, s: Text) -> str:
    return hmac.digest(string("hmac_sha256", key).encode(), string("hmac_sha256", s).encode(), "sha256").hex()


@function("url_encode(s)", "For use in a URL; slashes too.", 'url_encode("a b/c")', "a%20b%2Fc", weight=30)
def url_encode(budget: Budget, s: Text) -> str:
    return urllib.parse.quote(string("url_encode", s), safe="")


@function("url_decode(s)", "The text behind URL encoding.", 'url_decode("a%20b")', "a b", weight=30)
def url_decode(budget: Budget, s: Text) -> str:
    return urllib.parse.unquote(string("url_decode", s))
