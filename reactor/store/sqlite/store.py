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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from reactor.contracts.errors import (
    ConfigError,
    Overloaded,
    ReactorError,
    StaleClaim,
    StoreFailed,
    StoreFull,
    error_object,
)
from reactor.contracts.event import Cursor
from reactor.contracts.store import (
    Acceptance,
    Accepted,
    Appended,
    Claim,
    Claimed,
    Effects,
    FlowFiles,
    Hints,
    PayloadFolder,
    PlanRecord,
    QueueMessage,
    Retention,
    Signal,
)
from reactor.kit.histogram import Histogram
from reactor.store.codec import pack_entries
from reactor.store.leases import Leases
from reactor.store.payloads import Payloads
from reactor.store.sqlite import reads
from reactor.store.sqlite.database import Database
from reactor.store.sqlite.files import (
    DirectoryLock,
    FreeSpace,
    Reserve,
    half_of_volume,
    private_directory,
    private_file,
    refuse_lost,
    refuse_network,
)
from reactor.store.sqlite.items import SqliteItems
from reactor.store.sqlite.look import look_through
from reactor.store.sqlite.rows import Rows
from reactor.store.sqlite.runs import SqliteRuns
from reactor.store.sqlite.schema import migrate, quick_check, was_left_open
from reactor.store.sqlite.upkeep import STEP

FIXED_LIBRARY = ((3, 51, 3),)
BACKPORTS = ((3, 50, 7), (3, 44, 6))
FULL = (errno.ENOSPC, errno.EDQUOT)
SHARE = 64
"""The log has at most this share of half the volume: a small one is not filled by it."""
FULL_BATCH, FULL_STEP = 20, 32
"""Rows that one prune removes, and pages that it gives back, while the disk is full."""
LOOKED_AT = 2_000
"""Rows of each table that are looked through at the start for ones that cannot be read."""
MAX_PENDING = 4096
"""Verbs that may wait for the writer before accepting says Overloaded."""

Work = tuple[Callable[[Rows], Any], "asyncio.Future[Any] | None", bool]


def library_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether a SQLite version has the fix for commits lost at concurrent WAL checkpoints."""
    return version >= FIXED_LIBRARY[0] or any(version[:2] == b[:2] and version >= b for b in BACKPORTS)


class SqliteStore(Leases, SqliteRuns, SqliteItems):
    """`directory` holds `reactor.db` and the lock file. `floor` is the free space in bytes under which nothing
    more is accepted; `vfs` names another file layer of SQLite under the writer. Runs on asyncio only."""

    def __init__(self, directory: Path, floor: int = 64 * 1024 * 1024, vfs: str | None = None) -> None:
        super().__init__()
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
        self._held: Mapping[str, int] = {}
        self._full = False
        self._failed: str | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: Database | None = None
        self._commits = Histogram()
        self._reserve = Reserve(directory)
        self._refused: list[tuple[str, str]] = []
        self._looked = 0.0
        self.crashed = False

    async def open(self) -> None:
        """Raises ConfigError: another daemon, a newer file, a damaged one, no room, a network file system."""
        major, minor, patch = (int(part) for part in apsw.sqlite_lib_version().split("."))
        if not library_is_safe((major, minor, patch)):
            raise ConfigError(f"SQLite {apsw.sqlite_lib_version()} can lose commits in WAL mode; 3.51.3 is needed")
        private_directory(self._directory)
        refuse_network(self._directory)
        self._lock.acquire()
        try:
            refuse_lost(self._directory)
            self._writer = await asyncio.to_thread(self._open_writer)
            self._reader = self._open_reader()
        except ReactorError:
            self._lock.release()
            raise
        self._reserve.hold(self._space.floor)
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._thread.start()

    def _open_reader(self) -> Database:
        reader = Database(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        reader.payloads, reader.unreadable = self._payloads, self._unreadable
        reader.set_busy_timeout(10_000)
        return reader

    def _open_writer(self) -> Database:
        try:
            try:
                return self._prepare()
            except apsw.FullError:
                if not self._reserve.give():
                    raise
                return self._prepare()
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise ConfigError(
                f"{self._path} is damaged ({error}); move it away and start with a backup, or with none to begin anew"
            ) from None
        except apsw.FullError:
            raise ConfigError(f"the disk of {self._directory} is full; make room and start again") from None
        except (apsw.Error, OSError) as error:
            raise ConfigError(f"{self._path} cannot be opened: {error}") from None

    def _prepare(self) -> Database:
        """Opens the file, and takes over what the process before held."""
        self._payloads.clear_incoming()
        private_file(self._path)
        connection = Database(str(self._path), vfs=self._vfs)
        try:
            connection.payloads, connection.unreadable = self._payloads, self._unreadable
            connection.owners = self._owners
            self._owners.clear()
            connection.set_busy_timeout(10_000)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            log = half_of_volume(self._directory) // SHARE // 4096
            connection.execute(f"PRAGMA wal_autocheckpoint = {min(max(log, 32), 2000)}")
            connection.execute("PRAGMA cache_size = -16000")
            self.crashed = was_left_open(connection)
            quick_check(connection, self._path)
            migrate(connection)
            connection.execute(
                "UPDATE runs SET owner = NULL, due = 0.0, lost = lost + ? WHERE owner IS NOT NULL AND ended IS NULL",
                (int(self.crashed),),
            )
            connection.execute("INSERT OR REPLACE INTO facts VALUES ('clean', 'no')")
            self._numbers = Counter(reads.counted(connection))
            self._space.spare = Rows(connection).spare()
            return connection
        except BaseException:
            connection.close()
            raise

    async def close(self, clean: bool = True) -> None:
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
            if self._failed is None:
                self._failed = self._lock.lost()
            if self._failed is not None:
                self._writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            elif clean and not self._full:
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
            hints = rows.news.hints()
            rows.reset()
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, results, hints)
            except RuntimeError:
                return

    def _commit(self, rows: Rows, batch: list[Work]) -> list[Any]:
        """Results in order; an exception stands for itself."""
        if self._failed is None and (lost := self._lock.lost()) is not None:
            self._failed = lost
            rows.news.due = True  # whoever watches asks again, and learns it
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
            before = rows.news.copy()
            try:
                results.extend(self._transaction(rows, [work]))
                room = True
            except Exception as error:
                results.append(self._fault(rows, error))
                rows.news = before
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
        self._numbers.update(rows.moved)
        self._refused.extend(rows.refused)
        if rows.freed:
            self._owners.freed(rows.freed)
        rows.moved, rows.refused, rows.freed = Counter(), [], set()
        if rows.dropped:
            rows.collect()
        self._measure(rows)
        return results

    def _measure(self, rows: Rows) -> None:
        """Once a second, and after the file was made smaller: the room in the file's free pages."""
        moment = time.monotonic()
        if rows.shrunk:
            assert self._writer is not None
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if rows.shrunk or moment >= self._looked:
            self._looked = moment + 1.0
            self._space.spare = rows.spare()
        rows.shrunk = False

    def _fault(self, rows: Rows, error: Exception) -> Exception:
        """Rolls back and says what the error means for those who wait."""
        assert self._writer is not None
        news = rows.news
        rows.reset()
        rows.news = news
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error as second:
            self._failed = f"the store cannot roll back: {second}"
        if self._failed is not None:
            rows.news.due = True
            return StoreFailed(self._failed)
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in FULL):
            self._full = True
            self._reserve.give()
            with contextlib.suppress(apsw.Error):  # what the log holds may make room in it
                self._writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            return StoreFull("the disk is full", 5.0)
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return StoreFull("no file descriptor is free for a payload", 1.0)
        if isinstance(error, (OSError, apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError)):
            self._failed = f"the store's disk failed: {error}"
            rows.news.due = True  # whoever watches asks again, and learns it
            return StoreFailed(self._failed)
        return error

    def _deliver(self, batch: list[Work], results: list[Any], hints: Hints | None) -> None:
        for (_, future, _), result in zip(batch, results, strict=True):
            if future is None or future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        if hints is not None:
            self._tell_all(hints)

    async def accept(self, acceptance: Acceptance) -> Accepted:
        accepted: Accepted = await self._submit(lambda rows: rows.accept(acceptance), accepting=True)
        return accepted

    async def append(self, claim: Claim, expected_seq: int, effects: Effects) -> Appended:
        packed = pack_entries(effects.entries) if effects.entries else None
        result: Appended | StaleClaim = await self._submit(
            lambda rows: rows.append(claim, expected_seq, packed, effects)
        )
        if isinstance(result, StaleClaim):
            raise result
        return result

    async def push(self, messages: Sequence[QueueMessage]) -> None:
        await self._submit(lambda rows: rows.push(messages), accepting=True)

    async def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        taken: list[QueueMessage] = await self._submit(lambda rows: rows.take(queue, at_once))
        return taken

    async def _named(self, source: str, name: str) -> str:
        """On a full disk a new source has its name already; it is kept when the source is held again."""
        with contextlib.suppress(StoreFull):
            return str(await self._submit(lambda rows: rows.named(source, name)))
        return name

    async def claim(self, owner: str, limit: int, now: float, wall: float | None = None) -> list[Claimed]:
        """What is claimed is on the disk before it is read: a run that takes the process down with it by its mere size
        is known to the next life."""
        moment = now if wall is None else wall
        claims: list[Claim] | StaleClaim = await self._submit(lambda rows: rows.claim(owner, limit, now, moment))
        if isinstance(claims, StaleClaim):
            raise claims
        if not claims:
            return []
        taken = claims
        found: list[tuple[Claim, Claimed | str]] = await self._read(lambda db: reads.claimed(db, taken, self._held))
        for claim, one in found:
            if isinstance(one, str):
                await self._quarantine(claim.run, one)
        return [one for _, one in found if isinstance(one, Claimed)]

    async def _quarantine(self, run: str, reason: str) -> None:
        """On a full disk the run stays claimed by nobody's work, and is looked at again in the next life."""
        error = error_object("corrupt", f"the run cannot be read: {reason}", retryable=False)
        self._unreadable.add(("claimed", run))
        with contextlib.suppress(StoreFull):
            await self._submit(lambda rows: rows.quarantine(run, error))

    def quarantined(self) -> list[tuple[str, str]]:
        refused, self._refused = self._refused, []
        return refused

    async def release(self, claim: Claim, wake: float | None) -> None:
        stale: StaleClaim | None = await self._submit(lambda rows: rows.release(claim, wake))
        if stale is not None:
            raise stale

    async def signal(self, signal: Signal) -> bool:
        return bool(await self._submit(lambda rows: rows.signal(signal)))

    async def move(self, cursors: Sequence[Cursor]) -> None:
        await self._submit(lambda rows: rows.move(cursors))

    async def save_plan(self, *plans: PlanRecord, files: FlowFiles | None = None) -> None:
        await self._submit(lambda rows: rows.save_plans(plans, files or {}))

    async def prune(self, now: float, retention: Retention, limit: int) -> int:
        """And gives free pages back to the disk; in small steps while it is full, for they need room themselves."""
        steps = (FULL_BATCH, FULL_STEP) if self._full else (limit, STEP)
        removed = int(await self._submit(lambda rows: rows.prune(now, retention, min(limit, steps[0]))))
        tight = self._full or self._space.tight()
        shrunk = bool(await self._submit(lambda rows: rows.shrink(tight, steps[1])))
        if not self._full and not tight:
            await asyncio.to_thread(self._reserve.hold, self._space.floor)
        return removed + shrunk

    async def sweep(self) -> int:
        swept = int(await self._submit(lambda rows: rows.sweep()))
        await asyncio.to_thread(self._look_through)
        return swept

    def _look_through(self) -> None:
        """Finds rows that cannot be read, on a connection of its own: lists are not held up."""
        with contextlib.suppress(apsw.Error), contextlib.closing(self._open_reader()) as db:
            look_through(db, LOOKED_AT)


def _probe_write(rows: Rows) -> None:
    rows.move([Cursor("reactor", "probe", "x" * 4096)])
    rows.move([Cursor("reactor", "probe", None)])
