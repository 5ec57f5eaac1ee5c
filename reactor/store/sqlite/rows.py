"""What the writer thread does inside a transaction. Everything here is synchronous and runs on one connection."""

from __future__ import annotations

from collections.abc import Sequence

from reactor.contracts.errors import ErrorObject, StaleClaim
from reactor.contracts.event import IDENTITY_WINDOW, Cursor
from reactor.contracts.run import Change, Start, Status
from reactor.contracts.store import (
    Acceptance,
    Accepted,
    Appended,
    Claim,
    Effects,
    FlowFiles,
    Outcome,
    PlanRecord,
    Signal,
)
from reactor.store.codec import (
    decode,
    encode,
    pack_entries,
    pack_environment,
    readable_verdicts,
    verdict_of,
)
from reactor.store.owners import NAMES
from reactor.store.rules import MAX_LOST, earliest, goes_on, kept_of, worn
from reactor.store.sqlite import plans, reads
from reactor.store.sqlite.database import load
from reactor.store.sqlite.items import ItemRows
from reactor.store.sqlite.queues import Queues
from reactor.store.sqlite.upkeep import Upkeep

_ENDED = (Status.succeeded, Status.failed, Status.cancelled)
_KEY = "flow = ? AND concurrency_key = ? AND concurrency_key IS NOT NULL"
_HAS_SLOT = f"{_KEY} AND ended IS NULL AND (status <> 'queued' OR wake IS NOT NULL)"
_WAITS = f"{_KEY} AND status = 'queued' AND wake IS NULL"
_FREE = "UPDATE runs SET owner = NULL, due = 0.0, lost = lost + 1 WHERE owner = ? AND ended IS NULL"
_WORN = f"SELECT id FROM runs WHERE lost > 1 AND lost >= {MAX_LOST} AND owner IS NULL"


class Rows(Queues, ItemRows, Upkeep):
    """What the verbs of the store do, on one connection."""

    def accept(self, acceptance: Acceptance) -> Accepted:
        stored = acceptance.event
        key = stored.event.key
        if key is not None:
            known = self._identity(stored.scope, key, stored.at, stored.id)
            if known is not None:
                self.move(acceptance.cursors)
                return known
        verdicts = list(stored.verdicts)
        outcomes = []
        follow: list[Acceptance] = []
        for start in acceptance.starts:
            outcome = self._start(acceptance, start)
            outcomes.append(outcome)
            verdicts.append(verdict_of(outcome, start))
            if outcome.verdict == "started":
                follow.extend(start.follow)
        self._events.append(
            (
                stored.id, stored.event.type, stored.at, stored.origin, stored.flows, stored.invalid,
                encode(verdicts), self._keep(stored.id, encode(stored.event)),
            )
        )  # fmt: skip
        if acceptance.taken is not None:
            self.taken(acceptance.taken, stored.id)
        for upload in acceptance.uploads:
            self._payloads.adopt(upload)
            self._refs.append((upload.sha256, stored.id))
        if acceptance.cursors:
            self.move(acceptance.cursors)
        for signal in acceptance.signals:
            self.signal(signal)
        answers = [self.accept(other) for other in follow] if follow else ()
        return Accepted(event=stored.id, outcomes=outcomes, verdicts=verdicts, follow=answers)

    def _identity(self, scope: str, key: str, at: float, id: str) -> Accepted | None:
        """The first answer for a known identity; else remembers this one."""
        self.flush()
        row = self._one("SELECT until, event FROM identities WHERE source = ? AND key = ?", scope, key)
        if row is not None and row[0] > at:
            first = self._one("SELECT CAST(verdicts AS BLOB) FROM events WHERE id = ?", row[1])
            verdicts = readable_verdicts(first[0]) if first is not None else []
            outcomes = [Outcome(v.flow, v.verdict, v.run) for v in verdicts if v.run is not None]
            return Accepted(event=row[1], outcomes=outcomes, verdicts=verdicts, duplicate=True)
        self._db.execute(
            "INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?)", (scope, key, at + IDENTITY_WINDOW, id)
        )
        return None

    def _start(self, acceptance: Acceptance, start: Start) -> Outcome:
        if start.dedupe_key is not None:
            self.flush()
            known = self._one(
                "SELECT until, run, spent FROM dedupe WHERE flow = ? AND key = ?", start.flow, start.dedupe_key
            )
            if known is not None and known[0] > start.at:
                first = self._one("SELECT status FROM runs WHERE id = ?", known[1])
                spent = known[2] if first is None else first[0] in ("failed", "cancelled")
                if start.dedupe_reuse == "any" or not spent:
                    return Outcome(start.flow, "duplicate", known[1])
        admitted = True
        if start.concurrency_key is not None:
            refused, admitted = self._admit(acceptance, start)
            if refused is not None:
                return refused
        token = self._insert(acceptance, start, admitted)
        if start.dedupe_key is not None:
            values = (start.flow, start.dedupe_key, start.at + start.dedupe_seconds, start.id)
            self._db.execute("INSERT OR REPLACE INTO dedupe (flow, key, until, run) VALUES (?, ?, ?, ?)", values)
        return Outcome(start.flow, "started", start.id, token)

    def _active(self, flow: str, key: str) -> list[str]:
        """Ids of the runs that have a slot of a concurrency key."""
        rows = self._db.execute(f"SELECT id FROM runs WHERE {_HAS_SLOT}", (flow, key))
        return [row[0] for row in rows]

    def _waiting(self, flow: str, key: str, order: str, limit: int) -> list[tuple[str, int]]:
        """Ids and limits of the runs that wait for a slot; `order` is `ASC` for the oldest first."""
        sql = f"SELECT id, concurrency_limit FROM runs WHERE {_WAITS} ORDER BY seq {order} LIMIT ?"
        return [(row[0], row[1]) for row in self._db.execute(sql, (flow, key, limit))]

    def _admit(self, acceptance: Acceptance, start: Start) -> tuple[Outcome | None, bool]:
        self.flush()
        assert start.concurrency_key is not None
        flow, key = start.flow, start.concurrency_key
        last = self._waiting(flow, key, "DESC", 1)
        if not last and len(self._active(flow, key)) < start.limit:
            return None, True
        if start.when_busy == "skip":
            return Outcome(flow, "busy", None), False
        if start.when_busy == "latest" and last:
            run = last[0][0]
            merged = decode(self._one("SELECT events FROM runs WHERE id = ?", run)[0])
            merged = [*merged, acceptance.event.id][-1000:]
            self._db.execute(
                "UPDATE runs SET event = ?, events = ? WHERE id = ?",
                (acceptance.event.id, encode(merged), run),
            )
            return Outcome(flow, "merged", run), False
        if start.when_busy == "replace":
            for run in [*self._active(flow, key), *(id for id, _ in self._waiting(flow, key, "ASC", -1))]:
                self._signal(Signal(run=run, kind="cancel", body={"reason": "replaced"}))
        elif last and self._count_waiting(flow, key, start.waiting) >= start.waiting:
            return Outcome(flow, "busy", None), False
        return None, False

    def _count_waiting(self, flow: str, key: str, most: int) -> int:
        sql = f"SELECT count(*) FROM (SELECT 1 FROM runs WHERE {_WAITS} LIMIT ?)"
        return int(self._one(sql, flow, key, most)[0])

    def _insert(self, acceptance: Acceptance, start: Start, admitted: bool) -> int:
        """The token of the claim, where the acceptor goes on with it."""
        begun = kept_of(start, self._owners.alive(acceptance.owner))
        live = begun is not None and goes_on(begun)
        entries = begun.entries if begun is not None else []
        event = acceptance.event.id
        parent = start.parent
        until = None
        if begun is None:
            wake = start.at if admitted else None
            status, started, ended, due, change = "queued", None, None, wake, None
        else:
            change = begun.change
            status, started, wake = change.status.value, start.at, change.wake
            over = change.status in _ENDED
            ended = change.at if over else None
            due = None if over or live else 0.0 if change.status is Status.running else wake
            until = None if over or live else change.until
        if due:
            due -= start.shift
        if due is not None or until is not None:
            self.news.due = True
        if ended is None:
            self.moved[status] += 1
        self._runs.append(
            (
                start.id, start.flow, start.version, event, start.trigger, status, start.at, started, ended,
                earliest(wake, until), due, acceptance.owner if live else None, 1 if live else 0, len(entries), 0,
                start.concurrency_key, start.limit,
                parent.run if parent else None, parent.path if parent else None,
                pack_environment(start),
                encode([event]) if start.concurrency_key is not None else None,
                *self._result(start.id, change), start.dedupe_key, start.shift, until,
            )
        )  # fmt: skip
        if entries:
            data, checksum = pack_entries(entries)
            self._journal.append((start.id, 0, checksum, self._keep(start.id, data)))
        if ended is not None and parent is not None:
            self.flush()
            self._after_end(start.id, ended)
        return int(live)

    def append(
        self,
        claim: Claim,
        expected_seq: int,
        packed: tuple[bytes, int] | None,
        effects: Effects,
    ) -> Appended | StaleClaim:
        """`packed` is the record of the entries. A stale claim is returned, not raised: it must not disturb the
        neighbours in the batch."""
        self.flush()
        change, consumed = effects.change, effects.consumed
        row = self._one(
            "SELECT owner, token, next_seq, signal_seq, status, lost, shift FROM runs WHERE id = ?", claim.run
        )
        if row is None or row[0] != claim.owner or row[1] != claim.token:
            return StaleClaim(f"{claim.run} is not held with token {claim.token}")
        if row[2] != expected_seq:
            return StaleClaim(f"{claim.run} stands at {row[2]}, not {expected_seq}")
        if packed is not None:
            self._journal.append((claim.run, expected_seq, packed[1], self._keep(claim.run, packed[0])))
        if consumed:
            self._db.execute("DELETE FROM signals WHERE run = ? AND seq <= ?", (claim.run, consumed))
        over = change.status in _ENDED
        released = change.release and not over
        shift = row[6] if change.shift is None else change.shift
        due = until = None
        if released:
            pending = row[3] and self._one("SELECT 1 FROM signals WHERE run = ?", claim.run) is not None
            due = 0.0 if pending else None if change.wake is None else change.wake - shift
            until = change.until
            self.news.due = self.news.due or due is not None or until is not None
        self.news.due = self.news.due or row[5] >= MAX_LOST - 1
        self.moved[row[4]] -= 1
        if not over:
            self.moved[change.status.value] += 1
        self._db.execute(
            "UPDATE runs SET status = ?, started = coalesce(started, ?), ended = ?, wake = ?, due = ?, until = ?,"
            " owner = CASE WHEN ? THEN NULL ELSE owner END, next_seq = ?, output = ?, error = ?, response = ?,"
            " shift = ?, lost = 0 WHERE id = ?",
            (
                change.status.value, change.at if change.started is None else change.started,
                change.at if over else None, None if over else earliest(change.wake, change.until), due, until,
                over or released, expected_seq + len(effects.entries), *self._result(claim.run, change), shift,
                claim.run,
            ),
        )  # fmt: skip
        if over or change.response is not None:
            self.news.ended.append(claim.run)
        accepted = [self.accept(acceptance) for acceptance in effects.outbox]
        self.push(effects.pushes)
        for signal in effects.signals:
            self.signal(signal)
        if over:
            self.flush()
            self._db.execute("DELETE FROM signals WHERE run = ?", (claim.run,))
            self._after_end(claim.run, change.at)
        return Appended(accepted=accepted)

    def _after_end(self, run: str, at: float) -> None:
        row = self._one(
            "SELECT flow, status, output, error, parent, parent_path, concurrency_key FROM runs WHERE id = ?",
            run,
        )
        flow, status, output, error, parent, path, key = row
        if parent is not None:
            body = {"path": path, "run": run, "status": status, "flow": flow}
            body |= {"output": decode(load(self._db, output)), "error": decode(load(self._db, error))}
            self.signal(Signal(run=parent, kind="child", body=body))
        if key is not None:
            count = len(self._active(flow, key))
            while (first := self._waiting(flow, key, "ASC", 1)) and count < first[0][1]:
                self._db.execute("UPDATE runs SET wake = ?, due = 0.0 WHERE id = ?", (at, first[0][0]))
                self.news.due = True
                count += 1

    def signal(self, signal: Signal) -> bool:
        self.flush()
        row = self._one("SELECT status, ended FROM runs WHERE id = ?", signal.run)
        if row is None:
            return False
        status, ended = row
        if signal.kind == "retry":
            if status not in ("failed", "cancelled"):
                return False
            self._db.execute("UPDATE runs SET status = 'queued', ended = NULL, wake = 0 WHERE id = ?", (signal.run,))
            self.moved["queued"] += 1
        elif ended is not None or (signal.kind == "resume" and status != "paused"):
            return False
        self._signal(signal)
        return True

    def _signal(self, signal: Signal) -> None:
        row = self._one(
            "UPDATE runs SET signal_seq = signal_seq + 1, due = CASE WHEN owner IS NULL THEN 0.0 ELSE due END"
            " WHERE id = ? RETURNING signal_seq, owner",
            signal.run,
        )
        self._db.execute(
            "INSERT INTO signals VALUES (?, ?, ?, ?)",
            (signal.run, row[0], signal.kind, self._keep(signal.run, encode(signal.body))),
        )
        if row[1] is None:
            self.news.due = True
        else:
            self.news.signalled.append(signal.run)

    def claim(self, owner: str, limit: int, now: float, wall: float) -> list[Claim] | StaleClaim:
        """Takes runs that are due. One whose claims were lost again and again with their owner is taken alone, so that
        its neighbours are not blamed for it."""
        self.flush()
        if not self._owners.alive(owner):
            return StaleClaim(f"{owner} has no lease")
        for gone in self._owners.take_over(now, owner):
            self._db.execute(_FREE, (gone,))
            self.freed.add(gone)
            self.news.lost.append(gone)
        for row in list(self._db.execute(_WORN)):
            self.quarantine(row[0], worn())
        due = "owner IS NULL AND due IS NOT NULL AND due <= ?"
        until = "owner IS NULL AND until IS NOT NULL AND until <= ?"
        chosen = {}
        if reads.alone(self._db) is None:
            for row in self._db.execute(f"SELECT id FROM runs WHERE lost > 1 AND {due} LIMIT 1", (now,)):
                chosen[row[0]] = True
        for condition, order, moment in ((due, "due, seq", now), (until, "until, seq", wall)):
            sql = f"SELECT id FROM runs WHERE {condition} AND +lost < {MAX_LOST - 1} ORDER BY {order} LIMIT ?"
            for row in self._db.execute(sql, (moment, limit - len(chosen))):
                chosen[row[0]] = True
        sql = "UPDATE runs SET owner = ?, token = token + 1, due = NULL, until = NULL WHERE id = ? RETURNING token"
        return [Claim(id, owner, self._one(sql, owner, id)[0]) for id in chosen]

    def quarantine(self, id: str, error: ErrorObject) -> None:
        """Leaves a run to a person."""
        self.flush()
        status = self._one("SELECT CAST(status AS BLOB) FROM runs WHERE id = ?", id)[0].decode("utf-8", "replace")
        self.moved[status] -= 1
        self.moved["paused"] += 1
        self._db.execute(
            "UPDATE runs SET status = 'paused', owner = NULL, due = NULL, until = NULL, lost = 0, error = ?"
            " WHERE id = ?",
            (encode(error), id),
        )
        self.refused.append((id, error["message"]))

    def release(self, claim: Claim, wake: float | None) -> StaleClaim | None:
        self.flush()
        self._db.execute(
            "UPDATE runs SET owner = NULL, due = ? WHERE id = ? AND owner = ? AND token = ?",
            (wake, claim.run, claim.owner, claim.token),
        )
        if not self._db.changes():
            return StaleClaim(f"{claim.run} is not held with token {claim.token}")
        self.news.due = True
        return None

    def move(self, cursors: Sequence[Cursor]) -> None:
        for cursor in cursors:
            if cursor.value is None:
                self._db.execute("DELETE FROM cursors WHERE source = ? AND item = ?", (cursor.source, cursor.item))
            else:
                values = (cursor.source, cursor.item, encode(cursor.value))
                self._db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", values)

    def named(self, source: str, name: str) -> str:
        """The name that a source has at brokers and databases; `name` when it has none yet."""
        row = self._one("SELECT value FROM cursors WHERE source = ? AND item = ?", NAMES, source)
        if row is not None:
            return str(decode(row[0]))
        self.move([Cursor(NAMES, source, name)])
        return name

    def save_plans(self, records: Sequence[PlanRecord], files: FlowFiles) -> None:
        plans.save(self._db, records, files)

    def _result(self, run: str, change: Change | None) -> tuple[bytes | None, bytes | None, bytes | None]:
        if change is None:
            return None, None, None
        return (
            None if change.output is None else self._keep(run, encode(change.output)),
            None if change.error is None else self._keep(run, encode(change.error)),
            None if change.response is None else self._keep(run, encode(change.response)),
        )
