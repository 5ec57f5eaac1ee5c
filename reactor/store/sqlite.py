"""The embedded store: SQLite in WAL mode, `synchronous=FULL`, one writer thread with group commit.

The loop fills one buffer while the writer commits the other; all verbs that came meanwhile share one sync. A batch
that fails is rolled back and replayed verb by verb, so that one item's fault never touches its neighbours. The
library must be one in which concurrent WAL checkpoints cannot lose commits (3.51.3 or later, or a back-port).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from reactor.contracts.errors import ConfigError, Overloaded, ReactorError, StaleClaim, StoreFailed, StoreFull
from reactor.contracts.event import Cursor, StoredEvent
from reactor.contracts.histogram import Histogram
from reactor.contracts.journal import AnyEntry
from reactor.contracts.run import Change, RunRecord
from reactor.contracts.store import (
    Acceptance,
    Accepted,
    Appended,
    Claim,
    Claimed,
    FlowFiles,
    Hints,
    Page,
    PayloadFolder,
    PlanRecord,
    QueueMessage,
    QueueState,
    Retention,
    RunFilter,
    Signal,
)
from reactor.store import plans as _plans
from reactor.store import reads
from reactor.store.codec import pack_entries
from reactor.store.files import DirectoryLock, FreeSpace, private_directory, refuse_network
from reactor.store.items import SqliteItems
from reactor.store.payloads import Payloads
from reactor.store.reads import Database
from reactor.store.rows import Rows
from reactor.store.schema import migrate, quick_check

FIXED_LIBRARY = ((3, 51, 3),)
BACKPORTS = ((3, 50, 7), (3, 44, 6))
FULL = (errno.ENOSPC, errno.EDQUOT)
MAX_PENDING = 4096
"""Verbs that may wait for the writer before accepting says Overloaded."""

Work = tuple[Callable[[Rows], Any], "asyncio.Future[Any] | None", bool]


def library_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether a SQLite version has the fix for commits lost at concurrent WAL checkpoints."""
    return version >= FIXED_LIBRARY[0] or any(version[:2] == b[:2] and version >= b for b in BACKPORTS)


class SqliteStore(SqliteItems):
    """`directory` holds `reactor.db` and the lock file. `floor` is the free space in bytes under which nothing
    more is accepted; `vfs` names another file layer of SQLite under the writer. Runs on asyncio only."""

    def __init__(self, directory: Path, floor: int = 64 * 1024 * 1024, vfs: str | None = None) -> None:
        self._vfs = vfs
        self._directory = directory
        self._path = directory / "reactor.db"
        self._payloads = Payloads(directory / "payloads")
        self.payloads: PayloadFolder = self._payloads
        self._lock = DirectoryLock(directory)
        self._space = FreeSpace(directory, floor)
        self._buffer: list[Work] = []
        self._condition = threading.Condition()
        self._closing = False
        self._hints: list[Hints] = []
        self._held: Mapping[str, int] = {}
        self._full = False
        self._failed: str | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: Database | None = None
        self._reader_lock = threading.Lock()
        self._writer: Database | None = None
        self._commits = Histogram()

    async def open(self) -> None:
        """Raises ConfigError: another daemon, a newer file, a damaged one, no room, a network file system."""
        major, minor, patch = (int(part) for part in apsw.sqlite_lib_version().split("."))
        if not library_is_safe((major, minor, patch)):
            raise ConfigError(f"SQLite {apsw.sqlite_lib_version()} can lose commits in WAL mode; 3.51.3 is needed")
        private_directory(self._directory)
        refuse_network(self._directory)
        self._lock.acquire()
        try:
            self._writer = await asyncio.to_thread(self._open_writer)
        except ReactorError:
            self._lock.release()
            raise
        self._reader = Database(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        self._reader.payloads = self._payloads
        self._reader.set_busy_timeout(10_000)
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._thread.start()

    def _open_writer(self) -> Database:
        try:
            self._payloads.clear_incoming()
            connection = Database(str(self._path), vfs=self._vfs)
            connection.payloads = self._payloads
            connection.set_busy_timeout(10_000)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 2000")
            connection.execute("PRAGMA cache_size = -16000")
            quick_check(connection, self._path)
            migrate(connection)
            connection.execute("UPDATE runs SET owner = NULL, due = 0.0 WHERE owner IS NOT NULL AND ended IS NULL")
            connection.execute("INSERT OR REPLACE INTO facts VALUES ('clean', 'no')")
            return connection
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise ConfigError(
                f"{self._path} is damaged ({error}); move it away and start with a backup, or with none to begin anew"
            ) from None
        except apsw.FullError:
            raise ConfigError(f"the disk of {self._directory} is full; make room and start again") from None
        except apsw.Error as error:
            raise ConfigError(f"{self._path} cannot be opened: {error}") from None

    async def close(self) -> None:
        """Commits what waits, notes the clean end, lets go of the lock."""
        if self._thread is not None:
            with self._condition:
                self._closing = True
                self._condition.notify()
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._writer is not None:
            if self._failed is None and not self._full:
                self._writer.execute("INSERT OR REPLACE INTO facts VALUES ('clean', 'yes')")
            self._writer.close()
            self._writer = None
        self._lock.release()

    def commit_times(self) -> Any:
        return self._commits

    def size(self) -> int:
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += Path(f"{self._path}{suffix}").stat().st_size
        return total

    def health(self) -> str | None:
        if self._failed is not None:
            return self._failed
        if self._full:
            return "the disk is full"
        if self._space.low():
            return "the disk is nearly full"
        return None

    def watch(self, hints: Hints) -> None:
        self._hints.append(hints)

    def held(self, seqs: Mapping[str, int]) -> None:
        self._held = seqs

    def _submit(self, work: Callable[[Rows], Any], accepting: bool = False) -> asyncio.Future[Any]:
        if self._failed is not None:
            raise StoreFailed(self._failed)
        if accepting:
            if self._space.low():
                raise StoreFull("the disk is nearly full", 5.0)
            if self._full:
                self._probe()
                raise StoreFull("the disk is full", 5.0)
            if len(self._buffer) >= MAX_PENDING:
                raise Overloaded("the store is behind", 1.0)
        assert self._loop is not None
        future: asyncio.Future[Any] = self._loop.create_future()
        with self._condition:
            self._buffer.append((work, future, accepting))
            if len(self._buffer) == 1:
                self._condition.notify()
        return future

    def _probe(self) -> None:
        """While the disk is full: one write that changes nothing tells when there is room again."""
        with self._condition:
            if not self._buffer:
                self._buffer.append((_probe_write, None, False))
                self._condition.notify()

    def _write_loop(self) -> None:
        assert self._writer is not None and self._loop is not None
        rows = Rows(self._writer)
        while True:
            with self._condition:
                while not self._buffer and not self._closing:
                    self._condition.wait()
                if not self._buffer:
                    return
                batch, self._buffer = self._buffer, []
            results = self._commit(rows, batch)
            signalled, due = rows.signalled, rows.due
            rows.reset()
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, results, signalled, due)
            except RuntimeError:
                return

    def _commit(self, rows: Rows, batch: list[Work]) -> list[Any]:
        """Results in order; an exception stands for itself."""
        if self._failed is not None:
            return [StoreFailed(self._failed)] * len(batch)
        if not self._full:
            try:
                return self._transaction(rows, [work for work, _, _ in batch])
            except Exception as error:
                outcome = self._fault(rows, error)
            if len(batch) == 1 or self._failed is not None:
                return [outcome] * len(batch)
        return self._one_by_one(rows, batch)

    def _one_by_one(self, rows: Rows, batch: list[Work]) -> list[Any]:
        """On a full disk nothing new is accepted out of a batch: an event must not pass one that came before it."""
        refusing, room = self._full, False
        results: list[Any] = []
        for work, _, accepting in batch:
            if accepting and refusing:
                results.append(StoreFull("the disk is full", 5.0))
                continue
            before = list(rows.signalled), rows.due
            try:
                results.extend(self._transaction(rows, [work]))
                room = True
            except Exception as error:
                results.append(self._fault(rows, error))
                rows.signalled, rows.due = before
                refusing = refusing or isinstance(results[-1], StoreFull)
        self._full = refusing and not room
        return results

    def _transaction(self, rows: Rows, works: list[Callable[[Rows], Any]]) -> list[Any]:
        assert self._writer is not None
        self._writer.execute("BEGIN IMMEDIATE")
        results = [work(rows) for work in works]
        rows.flush()
        begun = time.perf_counter()
        self._writer.execute("COMMIT")
        self._commits.add(time.perf_counter() - begun)
        if rows.dropped:
            rows.collect()
        return results

    def _fault(self, rows: Rows, error: Exception) -> Exception:
        """Rolls back and says what the error means for those who wait."""
        assert self._writer is not None
        signalled, due = rows.signalled, rows.due
        rows.reset()
        rows.signalled, rows.due = signalled, due
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error as second:
            self._failed = f"the store cannot roll back: {second}"
        if self._failed is not None:
            rows.due = True
            return StoreFailed(self._failed)
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in FULL):
            self._full = True
            return StoreFull("the disk is full", 5.0)
        if isinstance(error, (OSError, apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError)):
            self._failed = f"the store's disk failed: {error}"
            rows.due = True  # whoever watches asks again, and learns it
            return StoreFailed(self._failed)
        return error

    def _deliver(self, batch: list[Work], results: list[Any], signalled: list[str], due: bool) -> None:
        for (_, future, _), result in zip(batch, results, strict=True):
            if future is None or future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        if signalled or due:
            for hints in self._hints:
                hints(signalled, due)

    async def accept(self, acceptance: Acceptance) -> Accepted:
        accepted: Accepted = await self._submit(lambda rows: rows.accept(acceptance), accepting=True)
        return accepted

    async def append(
        self,
        claim: Claim,
        expected_seq: int,
        entries: list[AnyEntry],
        change: Change,
        outbox: Sequence[Acceptance] = (),
        signals: Sequence[Signal] = (),
        consumed: int = 0,
        pushes: Sequence[QueueMessage] = (),
    ) -> Appended:
        packed = pack_entries(entries) if entries else None
        count = len(entries)
        result: Appended | StaleClaim = await self._submit(
            lambda rows: rows.append(claim, expected_seq, packed, count, change, outbox, signals, consumed, pushes)
        )
        if isinstance(result, StaleClaim):
            raise result
        return result

    async def push(self, messages: Sequence[QueueMessage]) -> None:
        await self._submit(lambda rows: rows.push(messages), accepting=True)

    async def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        taken: list[QueueMessage] = await self._submit(lambda rows: rows.take(queue, at_once))
        return taken

    async def queues(self) -> list[QueueState]:
        found: list[QueueState] = await self._read(reads.queues)
        return found

    async def claim(self, owner: str, limit: int, now: float) -> list[Claimed]:
        claimed: list[Claimed] = await self._submit(lambda rows: rows.claim(owner, limit, now, self._held))
        return claimed

    async def renew(self, claims: Sequence[Claim], now: float) -> list[Claim]:
        """The lock file is the lease: a claim of this process holds while it lives."""
        return list(claims)

    async def release(self, claim: Claim, wake: float | None) -> None:
        await self._submit(lambda rows: rows.release(claim, wake))

    async def signal(self, signal: Signal) -> bool:
        return bool(await self._submit(lambda rows: rows.signal(signal)))

    async def move(self, cursors: Sequence[Cursor]) -> None:
        await self._submit(lambda rows: rows.move(cursors))

    async def save_plan(self, *plans: PlanRecord, files: FlowFiles | None = None) -> None:
        await self._submit(lambda rows: rows.save_plans(plans, files or {}))

    async def prune(self, now: float, retention: Retention, limit: int) -> int:
        return int(await self._submit(lambda rows: rows.prune(now, retention, limit)))

    async def sweep(self) -> int:
        return int(await self._submit(lambda rows: rows.sweep()))

    async def _read(self, query: Callable[[Database], Any]) -> Any:
        def work() -> Any:
            with self._reader_lock:
                assert self._reader is not None
                return query(self._reader)

        return await asyncio.to_thread(work)

    async def read(self, run: str, since: int = 0) -> list[AnyEntry]:
        found: list[AnyEntry] = await self._read(lambda db: reads.entries(db, run, since))
        return found

    async def signals(self, run: str, since: int = 0) -> list[Signal]:
        found: list[Signal] = await self._read(lambda db: reads.signals(db, run, since))
        return found

    async def next_wake(self) -> float | None:
        found: float | None = await self._read(reads.next_wake)
        return found

    async def cursor(self, source: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._read(lambda db: reads.cursor_items(db, source))
        return found

    async def plan(self, version: str) -> PlanRecord | None:
        found: PlanRecord | None = await self._read(lambda db: _plans.read(db, version))
        return found

    async def run(self, id: str) -> RunRecord | None:
        found: RunRecord | None = await self._read(lambda db: reads.run(db, id))
        return found

    async def runs(self, where: RunFilter, cursor: str | None, limit: int) -> Page:
        found: Page = await self._read(lambda db: reads.runs(db, where, cursor, limit))
        return found

    async def event(self, id: str) -> StoredEvent | None:
        found: StoredEvent | None = await self._read(lambda db: reads.event(db, id))
        return found

    async def events(self, cursor: str | None, limit: int, type: str | None = None, invalid: bool = False) -> Page:
        found: Page = await self._read(lambda db: reads.events(db, cursor, limit, type, invalid))
        return found

    async def ids(self, prefix: str, limit: int) -> list[str]:
        found: list[str] = await self._read(lambda db: reads.ids(db, prefix, limit))
        return found

    async def entries(self, run: str) -> list[AnyEntry]:
        return await self.read(run)

    async def versions(self, flow: str) -> list[PlanRecord]:
        found: list[PlanRecord] = await self._read(lambda db: _plans.versions(db, flow))
        return found

    async def flow_files(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = await self._read(_plans.flow_files)
        return found

    async def counts(self) -> dict[str, int]:
        found: dict[str, int] = await self._read(reads.counts)
        return found


def _probe_write(rows: Rows) -> None:
    rows.move([Cursor("reactor", "probe", "x" * 4096)])
    rows.move([Cursor("reactor", "probe", None)])
