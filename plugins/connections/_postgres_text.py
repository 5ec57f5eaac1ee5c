"""A connection that has all values as text, in both directions. asyncpg would read the binary form of the types that it
knows into Python's, which hold less than the server's: no infinity, no year 10000 or before Christ, no 24:00, and a
range or a composite has no form in JSON. The text form is the server's own, for types that it has learned of itself too
(`reactor.kit.pg_texts`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg

CORE = {
    16: "bool", 17: "bytea", 18: "char", 19: "name", 20: "int8", 21: "int2", 23: "int4", 24: "regproc", 25: "text",
    26: "oid", 27: "tid", 28: "xid", 29: "cid", 32: "pg_ddl_command", 114: "json", 142: "xml", 194: "pg_node_tree",
    600: "point", 601: "lseg", 602: "path", 603: "box", 604: "polygon", 628: "line", 650: "cidr", 700: "float4",
    701: "float8", 705: "unknown", 718: "circle", 774: "macaddr8", 790: "money", 829: "macaddr", 869: "inet",
    1009: "_text", 1028: "_oid", 1033: "aclitem", 1042: "bpchar", 1043: "varchar", 1082: "date", 1083: "time",
    1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1266: "timetz", 1560: "bit", 1562: "varbit",
    1700: "numeric", 1790: "refcursor", 2202: "regprocedure", 2203: "regoper", 2204: "regoperator", 2205: "regclass",
    2206: "regtype", 2249: "record", 2275: "cstring", 2276: "any", 2277: "anyarray", 2278: "void", 2950: "uuid",
    2970: "txid_snapshot", 3220: "pg_lsn", 3361: "pg_ndistinct", 3402: "pg_dependencies", 3614: "tsvector",
    3615: "tsquery", 3642: "gtsvector", 3734: "regconfig", 3769: "regdictionary", 3802: "jsonb", 4072: "jsonpath",
    4089: "regnamespace", 4096: "regrole", 4191: "regcollation", 4600: "pg_brin_bloom_summary",
    4601: "pg_brin_minmax_multi_summary", 5017: "pg_mcv_list", 5038: "pg_snapshot", 5069: "xid8",
}  # fmt: skip
"""The types that asyncpg has a binary form of, by their numbers in the catalog, which never change."""
ARRAYS = {
    199: "json", 651: "cidr", 775: "macaddr8", 791: "money", 1000: "bool", 1001: "bytea", 1003: "name", 1005: "int2",
    1007: "int4", 1014: "bpchar", 1015: "varchar", 1016: "int8", 1020: "box", 1021: "float4", 1022: "float8",
    1040: "macaddr", 1041: "inet", 1115: "timestamp", 1182: "date", 1183: "time", 1185: "timestamptz",
    1187: "interval", 1231: "numeric", 1270: "timetz", 2951: "uuid", 3807: "jsonb",
}  # fmt: skip
NAMES = {**CORE, **{oid: f"_{name}" for oid, name in ARRAYS.items()}}


class TextConnection(asyncpg.Connection):
    """`prepare_text` it once."""

    _protocol: Any
    bytewise = False
    """Whether the database says nothing of its texts' encoding (SQL_ASCII): each byte then comes and goes as one
    character, and stands for itself."""

    async def prepare_text(self) -> None:
        if self.get_settings().server_encoding == "SQL_ASCII":
            self.bytewise = True
            await self.execute("SET client_encoding = LATIN1")
        self._as_text(NAMES)

    def readable(self, name: str) -> str:
        """The name of a column, which no codec has seen."""
        return _from_bytes(name) if self.bytewise else name

    def get_reset_query(self) -> str:
        """After a reset, too."""
        query: str = super().get_reset_query()
        return f"{query}\nSET client_encoding = LATIN1;" if self.bytewise else query

    def _as_text(self, oids: Iterable[int]) -> None:
        settings = self._protocol.get_settings()
        encode, decode = (_to_bytes, _from_bytes) if self.bytewise else (_same, _same)
        for oid in oids:
            settings.add_python_codec(oid, NAMES.get(oid, "other"), "pg_catalog", [], "scalar", encode, decode, "text")

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> object:
        """What asyncpg asks the server for, when it meets a type that it does not know: nothing need be known of it."""
        self._as_text(typeoids)
        return [], _Unprepared


async def prepare(connection: Any) -> None:
    await connection.prepare_text()


class _Unprepared:
    """Stands for the statement that asked about types: there was none, so the prepared one is still there."""

    name = "none"


def _same(text: str) -> str:
    return text


def _from_bytes(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def _to_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
