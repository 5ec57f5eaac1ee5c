"""What the store forgets: ended runs, old events, spent keys, and the payloads that nothing names any more."""

from __future__ import annotations

from reactor.contracts.store import Retention
from reactor.store.codec import decode_verdicts
from reactor.store.gathered import Gathered

PAGES = 4
"""Pages of events that a call looks through for one to remove."""


class Upkeep(Gathered):
    _passed = 0
    """How far the events were looked through: those before are held by runs."""

    def collect(self) -> None:
        """After a commit: removes the files that no row names any more."""
        for sha256 in set(self.dropped):
            if self._one("SELECT 1 FROM payload_refs WHERE sha256 = ?", sha256) is None:
                self._payloads.remove(sha256)
        self.dropped = []

    def sweep(self) -> int:
        """Removes files that no row names."""
        self.flush()
        return self._payloads.sweep(
            lambda sha256: self._one("SELECT 1 FROM payload_refs WHERE sha256 = ?", sha256) is not None
        )

    def prune(self, now: float, retention: Retention, limit: int) -> int:
        """What ended first goes first; each call is short, so that accepting is not held up."""
        self.flush()
        cutoff = now - retention.age
        full = self._used() > retention.bytes
        oldest = "SELECT id FROM runs WHERE ended IS NOT NULL AND ended <= ? ORDER BY ended LIMIT ?"
        runs = [row[0] for row in self._db.execute(oldest, (cutoff, limit))]
        if not runs:
            over = limit if full else min(self._surplus(retention), limit)
            runs = [row[0] for row in self._db.execute(oldest, (float("inf"), over))] if over > 0 else []
        for id in runs:
            self._db.execute("DELETE FROM journal WHERE run = ?", (id,))
            self._db.execute("DELETE FROM signals WHERE run = ?", (id,))
            self._db.execute("DELETE FROM runs WHERE id = ?", (id,))
            self._drop(id)
        removed = len(runs) + self._prune_events(float("inf") if full else cutoff, limit)
        for table in ("identities", "dedupe"):
            self._db.execute(f"DELETE FROM {table} WHERE until <= ?", (now,))
        return removed

    def _surplus(self, retention: Retention) -> int:
        """How many runs there are over the bound, from sequence numbers: counting would read the whole table."""
        first = self._one("SELECT seq FROM runs WHERE ended IS NOT NULL ORDER BY ended LIMIT 1")
        last = self._one("SELECT max(seq) FROM runs")[0]
        return 0 if first is None else int(last) - int(first[0]) + 1 - retention.count

    def _prune_events(self, cutoff: float, limit: int) -> int:
        """Removes the oldest events whose runs are all gone. Those that others hold, such as runs that wait for months,
        are passed over, a few pages in a call; the next call goes on behind them."""
        sql = "SELECT seq, verdicts, id FROM events WHERE at <= ? AND seq > ? ORDER BY seq LIMIT ?"
        removed, again = 0, self._passed > 0
        for _ in range(PAGES):
            page = list(self._db.execute(sql, (cutoff, self._passed, limit)))
            for seq, verdicts, id in page:
                runs = [verdict.run for verdict in decode_verdicts(verdicts) if verdict.run is not None]
                if not any(self._one("SELECT 1 FROM runs WHERE id = ?", run) is not None for run in runs):
                    self._db.execute("DELETE FROM events WHERE seq = ?", (seq,))
                    self._drop(id)
                    removed += 1
            self._passed = page[-1][0] if len(page) == limit else 0
            if removed or not (self._passed or again):
                break
            again = again and self._passed > 0
        return removed

    def _used(self) -> int:
        pages, free, size = (self._one(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size"))
        return (int(pages) - int(free)) * int(size)
