"""How the bytes of a character set are text. For sets of one byte a character the server is asked, so that the stream
has what a query has, to the last odd character; the others are Python's."""

from __future__ import annotations

import codecs

from reactor.contracts.errors import NotReady, StepFailed
from reactor.contracts.text import not_utf8
from reactor.kit.sql import Session
from triggers.mysql.table import BINARY
from triggers.mysql.values import Decode

CODECS = {
    "utf8": "utf-8", "utf8mb3": "utf-8", "utf8mb4": "utf-8", "ucs2": "utf-16-be", "utf16": "utf-16-be",
    "utf16le": "utf-16-le", "utf32": "utf-32-be", "big5": "big5hkscs", "gbk": "gbk", "gb2312": "gb2312",
    "gb18030": "gb18030", "sjis": "shift_jis", "cp932": "cp932", "ujis": "euc_jp", "eucjpms": "euc_jp",
    "euckr": "cp949",
}  # fmt: skip
COLLATIONS_QUERY = "SELECT id AS id, character_set_name AS name FROM information_schema.collations WHERE id IS NOT NULL"
MORE_QUERY = """
SELECT id AS id, character_set_name AS name FROM information_schema.collation_character_set_applicability
WHERE id IS NOT NULL
"""
"""MariaDB from 10.10 has collations that serve several sets: only here is the number of each."""
ALL = bytes(range(256))


class Charsets:
    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._known: dict[str, Decode] = {}

    async def learn(self, session: Session) -> None:
        """The names by the numbers of the collations."""
        for query in (COLLATIONS_QUERY, MORE_QUERY):
            try:
                rows = (await session.run(query)).rows
            except StepFailed:  # an older server has no such column
                continue
            self._names |= {int(row["id"]): row["name"] for row in rows if row["name"]}

    async def decode(self, session: Session, collation: int | None) -> Decode | None:
        """None for bytes."""
        if collation is None or collation == BINARY:
            return None
        name = self._names.get(collation)
        if name is None:
            raise NotReady(f"mysql: the server does not say which character set has the collation {collation}")
        if name not in self._known:
            self._known[name] = _codec(CODECS[name]) if name in CODECS else await _table(session, name)
        return self._known[name]


def _codec(name: str) -> Decode:
    read = codecs.lookup(name).decode

    def decode(raw: bytes) -> str:
        try:
            return read(raw)[0]
        except UnicodeDecodeError as error:
            reason = not_utf8(raw) if name == "utf-8" else None
            wrong = raw[error.start : error.end].hex()
            raise ValueError(reason or f"the bytes {wrong} at position {error.start} are not {name}") from None

    return decode


async def _table(session: Session, name: str) -> Decode:
    """All bytes at once, as the server reads them."""
    if not name.isalnum():
        raise NotReady(f"mysql: the character set {name} is not known")
    rows = (await session.run(f"SELECT CONVERT(_{name} X'{ALL.hex()}' USING utf8mb4) AS text")).rows
    text = str(rows[0]["text"])
    if len(text) != len(ALL):
        raise NotReady(f"mysql: the character set {name} has more than one byte a character, and is not known")
    return lambda raw: codecs.charmap_decode(raw, "strict", text)[0]
