"""SQL on PostgreSQL, MySQL, MariaDB and SQLite: the statement is the author's, values are bound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from plugins.actions._paths import locate
from plugins.actions._rows import RowFile
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.contracts.names import named
from reactor.kit.durations import DurationError, parse_duration
from reactor.kit.formulas import Formulas
from reactor.kit.sql import Database, Result, Session, quote_name, quote_part

MAX_ROWS = 10_000
AT_ONCE = 500
"""Rows in one statement of a bulk insert."""
OWN_KEY = "reactor_key"
"""The parameter that is the step's idempotency key, in every statement that names it."""


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    connection: str
    """A connection of the kind postgres, mysql or sqlite, or its URL."""
    timeout: str = "30s"
    """A statement that takes longer is cancelled."""


class QueryOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    query: str
    """The statement, written out: `:name` or `:1` where a value of `params` is bound."""
    params: dict[str, Any] | list[Any] = msgspec.field(default_factory=dict)
    """The values, by name or in order."""
    limit: int = 1000
    """The most rows that the result has, up to 10,000; `more` says whether there were others."""
    save_to: str | None = None
    """A file for all rows instead of the result: JSON lines, or CSV when it ends so. `limit` does not apply."""
    formulas: Formulas = "escape"
    """A csv cell that a spreadsheet would run (it begins with `= + - @`, numbers excepted): escape puts `'` first."""


class ExecuteOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    query: str
    """The statement, written out: `:name` or `:1` where a value of `params` is bound."""
    params: dict[str, Any] | list[Any] = msgspec.field(default_factory=dict)
    """The values, by name or in order; `:reactor_key` is always there: the step's idempotency key."""


class InsertOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    table: str
    """The table, or schema.table, written out; a part with other characters in quotes, MySQL's in backticks."""
    columns: list[str]
    """The columns, written out: what rows have beyond them is not taken, what they lack is null."""
    rows: list[dict[str, Any]]
    """The rows, at most 100,000."""
    on_conflict: str = "fail"
    """fail, or skip rows that a unique key refuses."""


class UpsertOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    table: str
    """The table, or schema.table, written out; a part with other characters in quotes, MySQL's in backticks."""
    columns: list[str]
    """The columns, written out: what rows have beyond them is not taken, what they lack is null."""
    key: list[str]
    """The columns of the unique key that tells rows apart."""
    rows: list[dict[str, Any]]
    """The rows, at most 100,000."""
    update: list[str] | None = None
    """The columns that are written when the row is there; all but the key unless given."""


class OneStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    query: str
    params: dict[str, Any] | list[Any] = msgspec.field(default_factory=dict)
    expect: int | None = None
    """Rows that it must give or change; otherwise all is rolled back."""


class TransactionOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    statements: list[OneStatement]
    """Statements with `query`, `params` and `expect` (rows it must change, else all is undone), at most 100."""


Given = TypeVar("Given", bound=_Options, contravariant=True)


class _Sql(ActionKind[Given]):
    connection_kinds = ("postgres", "mysql", "sqlite")

    @asynccontextmanager
    async def session(self, options: Given, context: ActionContext) -> AsyncIterator[tuple[Database, Session]]:
        try:
            seconds = parse_duration(options.timeout)
        except DurationError as error:
            raise StepFailed("expression", f"timeout: {error}", retryable=False) from None
        if not 0 < seconds <= 86_400:
            raise StepFailed("expression", "timeout is at most 24h", retryable=False)
        async with context.connection(options.connection) as database, database.session(seconds) as session:
            yield database, session


class Query(_Sql[QueryOptions]):
    name = "sql.query"
    summary = "Reads rows, in a transaction that cannot write."
    repeat = "safe"
    Options = QueryOptions
    literal_options = ("query",)
    path_options = ("save_to",)
    result_fields = ("rows", "count", "more", "columns", "path", "size")
    example = (
        "call: sql.query\nwith:\n  connection: shop\n  query: SELECT id, total FROM orders WHERE customer = :customer\n"
        "  params: {customer: c-1}"
    )

    async def run(self, options: QueryOptions, context: ActionContext) -> object:
        if not 1 <= options.limit <= MAX_ROWS:
            raise StepFailed("expression", f"limit is from 1 to {MAX_ROWS:,}", retryable=False)
        params = _with_key(options.params, context)
        async with self.session(options, context) as (_, session), session.transaction(read_only=True):
            if options.save_to is None:
                return shown(await session.run(options.query, params, options.limit))
            place = locate(context, "save_to", options.save_to)
            async with RowFile(place, options.formulas) as file:
                async for rows in session.stream(options.query, params):
                    await file.add(rows)
        return {**named("path", str(place.path)), "count": file.count, "size": file.size, "columns": file.columns}


class Execute(_Sql[ExecuteOptions]):
    name = "sql.execute"
    summary = "Runs one statement that writes; `count` is how many rows it changed, `rows` what RETURNING gave."
    repeat = "keyed"
    Options = ExecuteOptions
    literal_options = ("query",)
    result_fields = ("rows", "count", "more", "columns")
    example = (
        "call: sql.execute\nwith:\n  connection: shop\n  query: UPDATE orders SET paid = true WHERE id = :id\n"
        "  params: {id: 7}"
    )

    async def run(self, options: ExecuteOptions, context: ActionContext) -> object:
        async with self.session(options, context) as (_, session):
            return shown(await session.run(options.query, _with_key(options.params, context), MAX_ROWS))


class Insert(_Sql[InsertOptions]):
    name = "sql.insert"
    summary = "Inserts rows, all or none."
    repeat = "keyed"
    Options = InsertOptions
    literal_options = ("table", "columns")
    result_fields = ("count",)
    example = (
        "call: sql.insert\nwith:\n  connection: shop\n  table: orders\n  columns: [id, total]\n"
        "  rows: [{id: 7, total: 12.5}]"
    )

    async def run(self, options: InsertOptions, context: ActionContext) -> object:
        if options.on_conflict not in ("fail", "skip"):
            raise StepFailed("expression", "on_conflict is fail or skip", retryable=False)
        async with self.session(options, context) as (database, session):
            text = insert_text(options.table, options.columns, database)
            if options.on_conflict == "skip":
                if database.dialect == "mysql":
                    first = quote_part(options.columns[0], "mysql")
                    text += f" ON DUPLICATE KEY UPDATE {first} = {first}"
                else:
                    text += " ON CONFLICT DO NOTHING"
            return {"count": await write_rows(session, text, options.columns, options.rows)}


class Upsert(_Sql[UpsertOptions]):
    name = "sql.upsert"
    summary = "Inserts rows, or updates those that are there, all or none."
    repeat = "safe"
    Options = UpsertOptions
    literal_options = ("table", "columns", "key", "update")
    result_fields = ("count",)
    example = (
        "call: sql.upsert\nwith:\n  connection: shop\n  table: orders\n  columns: [id, total]\n  key: [id]\n"
        "  rows: [{id: 7, total: 12.5}]"
    )

    async def run(self, options: UpsertOptions, context: ActionContext) -> object:
        columns, key = options.columns, options.key
        update = [c for c in columns if c not in key] if options.update is None else options.update
        if not key or set(key) - set(columns) or set(update) - set(columns):
            raise StepFailed("expression", "key and update name some of the columns", retryable=False)
        async with self.session(options, context) as (database, session):
            dialect = database.dialect
            text = insert_text(options.table, columns, database)
            names = [quote_part(column, dialect) for column in update]
            if dialect == "mysql":
                first = quote_part(key[0], dialect)
                setting = ", ".join(f"{n} = VALUES({n})" for n in names) or f"{first} = {first}"
                text += f" ON DUPLICATE KEY UPDATE {setting}"
            else:
                unique = ", ".join(quote_part(column, dialect) for column in key)
                setting = ", ".join(f"{name} = excluded.{name}" for name in names)
                text += f" ON CONFLICT ({unique}) " + (f"DO UPDATE SET {setting}" if setting else "DO NOTHING")
            await write_rows(session, text, columns, options.rows)
        return {"count": len(options.rows)}


class Transaction(_Sql[TransactionOptions]):
    name = "sql.transaction"
    summary = "Runs statements in one transaction: all of them or none."
    repeat = "keyed"
    Options = TransactionOptions
    literal_options = ("statements.query",)
    result_fields = ("results",)
    example = (
        "call: sql.transaction\nwith:\n  connection: shop\n  statements:\n"
        "    - {query: 'UPDATE stock SET count = count - 1 WHERE sku = :sku', params: {sku: a}, expect: 1}\n"
        "    - {query: 'INSERT INTO sales (sku) VALUES (:sku)', params: {sku: a}}"
    )

    async def run(self, options: TransactionOptions, context: ActionContext) -> object:
        if not 1 <= len(options.statements) <= 100:
            raise StepFailed("expression", "a transaction has from 1 to 100 statements", retryable=False)
        results = []
        async with self.session(options, context) as (_, session), session.transaction():
            for place, one in enumerate(options.statements, 1):
                result = await session.run(one.query, _with_key(one.params, context), MAX_ROWS)
                if one.expect is not None and result.count != one.expect:
                    raise StepFailed(
                        "sql.unexpected", f"statement {place} gave or changed {result.count} rows, not {one.expect};"
                        " all was rolled back", retryable=False, details={"statement": place, "count": result.count},
                    )  # fmt: skip
                results.append(shown(result))
        return {"results": results}


def _with_key(params: dict[str, Any] | list[Any], context: ActionContext) -> dict[str, Any] | list[Any]:
    return params if isinstance(params, list) else {OWN_KEY: context.idempotency_key, **params}


def shown(result: Result) -> dict[str, object]:
    return {"rows": result.rows, "count": result.count, "more": result.more, "columns": result.columns}


def insert_text(table: str, columns: list[str], database: Database) -> str:
    if not columns:
        raise StepFailed("expression", "columns has at least one name", retryable=False)
    dialect = database.dialect
    names = ", ".join(quote_part(column, dialect) for column in columns)
    marks = ", ".join(f":{place}" for place in range(1, len(columns) + 1))
    try:
        target = quote_name(table, dialect)
    except ValueError as error:
        raise StepFailed("expression", f"table: {error}", retryable=False) from None
    return f"INSERT INTO {target} ({names}) VALUES ({marks})"


async def write_rows(session: Session, text: str, columns: list[str], rows: list[dict[str, object]]) -> int:
    """All of the rows in one transaction."""
    if len(rows) > 100_000:
        raise StepFailed("limit", "at most 100,000 rows are written at once", retryable=False)
    changed = 0
    if not rows:
        return 0
    async with session.transaction():
        for place in range(0, len(rows), AT_ONCE):
            part = [[row.get(column) for column in columns] for row in rows[place : place + AT_ONCE]]
            changed += await session.many(text, part)
    return changed
