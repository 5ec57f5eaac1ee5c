"""One transaction's worth of rows: gathered, and written with few statements."""

from __future__ import annotations

from collections import Counter
from typing import Any

from reactor.store.news import News
from reactor.store.payloads import LARGE, MARK
from reactor.store.sqlite.database import Database

_EVENT_COLUMNS = "id, type, at, origin, flows, invalid, verdicts, event"
_RUN_COLUMNS = (
    "id, flow, version, event, trigger, status, created, started, ended, wake, due, owner, token, next_seq,"
    " signal_seq, concurrency_key, concurrency_limit, parent, parent_path, environment, events, output, error,"
    " response, dedupe_key, shift, until"
)
_CHUNKS = (64, 16, 4, 1)


def _inserts(table: str, columns: str) -> dict[int, str]:
    row = "(" + ",".join("?" * (columns.count(",") + 1)) + ")"
    return {n: f"INSERT INTO {table} ({columns}) VALUES {','.join([row] * n)}" for n in _CHUNKS}


_INSERT_EVENTS = _inserts("events", _EVENT_COLUMNS)
_INSERT_RUNS = _inserts("runs", _RUN_COLUMNS)
_INSERT_JOURNAL = _inserts("journal", "run, seq, checksum, entries")


class Gathered:
    """One transaction's worth of work on a connection. Rows that can clash with nothing are gathered and written
    with few statements (`flush`); whatever reads flushes first."""

    def __init__(self, connection: Database) -> None:
        self._db = connection
        self._payloads = connection.payloads
        self._owners = connection.owners
        self._refs: list[tuple[str, str]] = []
        self.dropped: list[str] = []
        """Payloads that lost a row; those that no row names any more go after the commit."""
        self._events: list[tuple[Any, ...]] = []
        self._runs: list[tuple[Any, ...]] = []
        self._journal: list[tuple[Any, ...]] = []
        self.news = News()
        self.moved: Counter[str] = Counter()
        """What changes in the numbers that are told without counting: runs by status, messages by queue."""
        self.refused: list[tuple[str, str]] = []
        """Runs that were left to a person, with the reason."""
        self.freed: set[str] = set()
        """Owners whose claims were freed, because their leases are over."""

    def reset(self) -> None:
        """Forgets what was gathered, after a rollback."""
        self._events.clear()
        self._runs.clear()
        self._journal.clear()
        self._refs.clear()
        self.dropped = []
        self.news = News()
        self.moved = Counter()
        self.refused = []
        self.freed = set()

    def flush(self) -> None:
        for rows, statements in (
            (self._events, _INSERT_EVENTS),
            (self._runs, _INSERT_RUNS),
            (self._journal, _INSERT_JOURNAL),
        ):
            place = 0
            for size in _CHUNKS:
                while len(rows) - place >= size:
                    flat = [value for row in rows[place : place + size] for value in row]
                    self._db.execute(statements[size], flat)
                    place += size
            rows.clear()
        if self._refs:
            self._db.executemany("INSERT OR IGNORE INTO payload_refs VALUES (?, ?)", self._refs)
            self._refs.clear()

    def _keep(self, owner: str, data: bytes | None) -> bytes | None:
        """What to write into a column: the bytes, or the name of the file that has them."""
        if data is None or len(data) <= LARGE:
            return data
        sha256 = self._payloads.put(data)
        self._refs.append((sha256, owner))
        return MARK + sha256.encode()

    def _drop(self, owner: str, *values: Any) -> None:
        """`owner` is SQL with `values`: what a row is called may not be a text."""
        rows = self._db.execute(f"DELETE FROM payload_refs WHERE owner = {owner} RETURNING sha256", values)
        self.dropped.extend(row[0] for row in rows)

    def _one(self, sql: str, *values: Any) -> Any:
        return self._db.execute(sql, values).fetchone()
