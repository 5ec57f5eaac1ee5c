"""What the store forgets: ended runs, old events, spent keys, and the payloads that nothing names any more.

No look here grows with what is stored: ended runs come from an index, events by their sequence from the oldest on.
"""

from __future__ import annotations

from collections.abc import Sequence

from reactor.contracts.store import Retention
from reactor.store.codec import decode, readable_verdicts
from reactor.store.sqlite.gathered import Gathered

PAGES = 4
"""Pages of events that a call looks through for one to remove."""
SPARE = 0.5
"""Share of free pages from which on the file is made smaller, a few pages in each call."""
_ENDED = (
    "SELECT seq, dedupe_key IS NOT NULL AND status <> 'succeeded', CAST(event AS BLOB), CAST(events AS BLOB)"
    " FROM runs WHERE ended IS NOT NULL"
)
STEP = 256
"""Pages that the file loses in one transaction at most."""


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
        self._payloads.measure()
        return self._payloads.sweep(
            lambda sha256: self._one("SELECT 1 FROM payload_refs WHERE sha256 = ?", sha256) is not None
        )

    def prune(self, now: float, retention: Retention, limit: int) -> int:
        """What ended first goes first; each call is short, so that accepting is not held up."""
        self.flush()
        cutoff = now - retention.age
        full = self.used() > retention.bytes
        runs = list(self._db.execute(f"{_ENDED} AND ended <= ? ORDER BY ended LIMIT ?", (cutoff, limit)))
        if not runs:
            over = limit if full else min(self._surplus(retention), limit)
            runs = list(self._db.execute(f"{_ENDED} ORDER BY ended LIMIT ?", (over,))) if over > 0 else []
        for seq, spent, _, _ in runs:
            self._remove_run(seq, spent)
        removed = len(runs)
        for _, _, event, merged in runs:
            removed += self._forget(_events_of(event, merged))
        removed += self._prune_events(float("inf") if full else cutoff, limit)
        removed += self._prune_keys(now, limit)
        return removed

    def _remove_run(self, seq: int, spent: bool) -> None:
        """With `spent`, its dedupe key is free again for `reuse: success`."""
        id = "(SELECT id FROM runs WHERE seq = ?)"
        if spent:
            key = "SELECT flow, dedupe_key, id FROM runs WHERE seq = ?"
            self._db.execute(f"UPDATE dedupe SET spent = 1 WHERE (flow, key, run) = ({key})", (seq,))
        self._db.execute(f"DELETE FROM journal WHERE run = {id}", (seq,))
        self._db.execute(f"DELETE FROM signals WHERE run = {id}", (seq,))
        self._drop(id, seq)
        self._db.execute("DELETE FROM runs WHERE seq = ?", (seq,))

    def _surplus(self, retention: Retention) -> int:
        """How many runs there are over the bound, from sequence numbers: counting would read the whole table."""
        first = self._one("SELECT seq FROM runs WHERE ended IS NOT NULL ORDER BY ended LIMIT 1")
        last = self._one("SELECT max(seq) FROM runs")[0]
        return 0 if first is None else int(last) - int(first[0]) + 1 - retention.count

    def _forget(self, events: Sequence[str]) -> int:
        """Removes the events of runs that are gone, unless another run has them."""
        removed = 0
        for id in events:
            row = self._one("SELECT seq, CAST(verdicts AS BLOB) FROM events WHERE id = ?", id)
            if row is not None:
                removed += self._remove(row[0], row[1])
        return removed

    def _remove(self, seq: int, verdicts: bytes) -> bool:
        """Removes an event when all its runs are gone."""
        runs = [verdict.run for verdict in readable_verdicts(verdicts) if verdict.run is not None]
        if any(self._one("SELECT 1 FROM runs WHERE id = ?", run) is not None for run in runs):
            return False
        self._drop("(SELECT id FROM events WHERE seq = ?)", seq)
        self._db.execute("DELETE FROM events WHERE seq = ?", (seq,))
        return True

    def _prune_events(self, cutoff: float, limit: int) -> int:
        """Removes the oldest events whose runs are all gone: by sequence, as far as they are old enough. Those that
        others hold, such as runs that wait for months, are passed over, a few pages in a call; the next call goes on
        behind them."""
        young = "typeof(at) = 'real' AND at > ?"
        sql = f"SELECT seq, CAST(verdicts AS BLOB), {young} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        removed, again = 0, self._passed > 0
        for _ in range(PAGES):
            page = list(self._db.execute(sql, (cutoff, self._passed, limit)))
            fresh = 0
            for seq, verdicts, is_young in page:
                if is_young:
                    fresh += 1
                else:
                    removed += self._remove(seq, verdicts)
            self._passed = page[-1][0] if len(page) == limit and fresh < len(page) else 0
            if removed or not (self._passed or again):
                break
            again = again and self._passed > 0
        return removed

    def _prune_keys(self, now: float, limit: int) -> int:
        removed = 0
        for table, column in (("identities", "source"), ("dedupe", "flow")):
            self._db.execute(
                f"DELETE FROM {table} WHERE ({column}, key) IN"
                f" (SELECT {column}, key FROM {table} WHERE until <= ? ORDER BY until LIMIT ?)",
                (now, limit),
            )
            removed += self._db.changes()
        return removed

    def used(self) -> int:
        """Bytes of the pages that hold something, and of the payloads."""
        pages, free, size = self.pages()
        return (pages - free) * size + self._payloads.total

    def spare(self) -> int:
        """Bytes of the free pages."""
        _, free, size = self.pages()
        return free * size

    def pages(self) -> tuple[int, int, int]:
        """Pages of the file, free ones among them, bytes of one; read from its head, at no cost."""
        pages, free, size = (self._one(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size"))
        return int(pages), int(free), int(size)

    shrunk = False
    """Whether the transaction made the file smaller: a checkpoint then gives the room back."""

    def shrink(self, all: bool, step: int = STEP) -> bool:
        """Gives some free pages at the end of the file back to the disk; False when there is nothing to give. Without
        `all`, as long as most of the file is free: what is free will be used again."""
        pages, free, _ = self.pages()
        if not free or (not all and free < pages * SPARE):
            return False
        self._db.execute(f"PRAGMA incremental_vacuum({step})").fetchall()
        self.shrunk = self.pages()[0] < pages
        return self.shrunk


def _events_of(event: bytes, merged: bytes | None) -> list[str]:
    """The events that a run was started with."""
    first = event.decode("utf-8", "replace")
    try:
        return [first, *(str(id) for id in decode(merged) or [] if id != first)]
    except (ValueError, TypeError):
        return [first]
