"""PostgreSQL's text form of values as plain data, by the type's number in the catalog. The server's output functions
write one text for each value, whoever asks: the stream of changes, a snapshot and a query are read alike."""

from __future__ import annotations

import decimal
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from reactor.kit.sql import plain_json, plain_number

Convert = Callable[[str], Any]

SETTINGS = {
    "TimeZone": "UTC", "DateStyle": "ISO", "IntervalStyle": "iso_8601", "extra_float_digits": "1",
    "bytea_output": "hex", "lc_monetary": "C", "client_encoding": "UTF8",
}  # fmt: skip
"""What a session must have for its text form to be this one."""

TYPES_QUERY = """
SELECT t.oid::int8 AS oid, t.typtype::text AS kind, coalesce(e.oid::int8, 0) AS element,
       CASE WHEN e.oid IS NULL THEN 'X' ELSE 'A' END AS category, coalesce(e.typdelim::text, ',') AS delimiter,
       t.typbasetype::int8 AS base
FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid WHERE t.oid = ANY(:oids::oid[])
"""
_FRACTION = re.compile(r"\.(\d{1,5})(?!\d)")
_ZONE = re.compile(r"([+-]\d\d)$")


def _float(text: str) -> float | str:
    value = float(text)
    return value if value - value == 0 else text


def _bytes(text: str) -> str:
    return b64encode(bytes.fromhex(text[2:])).decode()


def _moment(text: str) -> str:
    """The session's zone is UTC: `2026-11-21 10:00:00.25+00`. RFC 3339 has no infinity and no years before Christ."""
    return f"{text[:-3]}Z".replace(" ", "T") if text.endswith("+00") else text


def _reading(text: str) -> str:
    """A timestamp without a zone."""
    return text if text.endswith("BC") else text.replace(" ", "T")


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split()]


BUILT_IN: dict[int, Convert] = {
    16: lambda text: text == "t", 20: int, 21: int, 23: int, 26: int, 28: int, 700: _float, 701: _float,
    1700: lambda text: plain_number(decimal.Decimal(text)), 114: plain_json, 3802: plain_json, 17: _bytes,
    1184: _moment, 1114: _reading, 22: _numbers, 30: _numbers,
}  # fmt: skip
TEXTS = frozenset(
    {18, 19, 25, 142, 790, 829, 869, 650, 774, 1042, 1043, 1082, 1083, 1186, 1266, 1560, 1562, 2950, 3614, 3615}
)
"""Types whose text is the value: char name text xml money macaddr inet cidr varchar date time interval bit uuid …"""


def _whole_fraction(text: str) -> str:
    """Six digits of a second, or none."""
    return _FRACTION.sub(lambda match: f".{match[1]:0<6}", text)


QUERIED: dict[int, Convert] = {
    **BUILT_IN, 29: int, 5069: int, 2278: lambda _: None, 700: lambda text: _queried_float(text),
    701: lambda text: _queried_float(text), 1184: lambda text: _whole_fraction(_moment(text)),
    1114: lambda text: _whole_fraction(_reading(text)), 1083: _whole_fraction,
    1266: lambda text: _ZONE.sub(r"\1:00", _whole_fraction(text)),
}  # fmt: skip
"""For rows of a query. A row's identity is made of these texts, so they stay as they have always been: a second has six
digits behind the point, and `nan` is written small."""


def _queried_float(text: str) -> float | str:
    value = float(text)
    return value if value - value == 0 else str(value)


class Types:
    """What is known of the types; `missing` names those that must be looked up first."""

    def __init__(self, built_in: Mapping[int, Convert] = BUILT_IN) -> None:
        self._known: dict[int, Convert | None] = {**dict.fromkeys(TEXTS), **built_in}

    def missing(self, oids: set[int]) -> list[int]:
        return sorted(oid for oid in oids if oid not in self._known)

    def learn(self, rows: list[dict[str, Any]], asked: list[int]) -> list[int]:
        """Takes rows of TYPES_QUERY; returns what must be asked for next: types that these are made of, and these."""
        found = {row["oid"]: row for row in rows}
        open = list(asked)
        while True:
            waiting = [oid for oid in open if not self._resolve(oid, found.get(oid))]
            if len(waiting) == len(open):
                break
            open = waiting
        made_of = {self._made_of(found[oid]) for oid in open}
        return [*(oid for oid in self.missing(made_of) if oid not in open), *open]

    def _made_of(self, row: dict[str, Any]) -> int:
        """The type below a domain or an array; 0: none."""
        if row["kind"] == "d":
            return int(row["base"])
        return int(row["element"]) if row["category"] == "A" else 0

    def _resolve(self, oid: int, row: dict[str, Any] | None) -> bool:
        """Whether all that the type is made of is known."""
        below = self._made_of(row) if row is not None else 0
        if below and below not in self._known:
            return False
        inner = self._known.get(below)
        if below and row is not None and row["kind"] != "d":
            self._known[oid] = _array(inner, row.get("delimiter", ","))
        else:
            self._known[oid] = inner
        return True

    def convert(self, oid: int) -> Convert | None:
        """None where the text is the value."""
        return self._known.get(oid)


def _array(element: Convert | None, delimiter: str) -> Convert:
    def convert(text: str) -> Any:
        return parse_array(text, element, delimiter)

    return convert


def parse_array(text: str, element: Convert | None, delimiter: str = ",") -> list[Any]:
    """`{1,NULL,"a \\"b\\"",{2}}` as a list (PostgreSQL documentation, "Array Input and Output Syntax"). Boxes are the
    one type whose delimiter is another: `{(1,1),(0,0);(2,2),(1,1)}`."""
    place = text.index("{")
    stack: list[list[Any]] = []
    while True:
        char = text[place]
        if char == "{":
            stack.append([])
            place += 1
        elif char == "}":
            done = stack.pop()
            if not stack:
                return done
            stack[-1].append(done)
            place += 1
        elif char == delimiter:
            place += 1
        else:
            value, place = _item(text, place, delimiter)
            stack[-1].append(value if value is None or element is None else element(value))


def _item(text: str, place: int, delimiter: str) -> tuple[str | None, int]:
    if text[place] != '"':
        end = place
        while text[end] != delimiter and text[end] != "}":
            end += 1
        value = text[place:end]
        return None if value == "NULL" else value, end
    parts = []
    place += 1
    while text[place] != '"':
        if text[place] == "\\":
            place += 1
        parts.append(text[place])
        place += 1
    return "".join(parts), place + 1
