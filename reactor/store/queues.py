"""Named durable queues inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence

from reactor.contracts.store import QueueMessage
from reactor.store import reads
from reactor.store.codec import decode, encode
from reactor.store.gathered import Gathered


class Queues(Gathered):
    def push(self, messages: Sequence[QueueMessage]) -> None:
        for message in messages:
            data = self._keep(message.id, encode(message.data))
            self._db.execute(
                "INSERT OR IGNORE INTO queue (id, queue, at, cause, data) VALUES (?, ?, ?, ?, ?)",
                (message.id, message.queue, message.at, message.cause, data),
            )

    def take(self, queue: str, at_once: int) -> list[QueueMessage]:
        self.flush()
        active = 0
        for seq, id, event in list(
            self._db.execute("SELECT seq, id, event FROM queue WHERE queue = ? AND event IS NOT NULL", (queue,))
        ):
            if self._one("SELECT 1 FROM runs WHERE event = ? AND ended IS NULL", event) is not None:
                active += 1
            else:
                self._db.execute("DELETE FROM queue WHERE seq = ?", (seq,))
                self._drop(id)
        rows = self._db.execute(
            "SELECT id, at, cause, data FROM queue WHERE queue = ? AND event IS NULL ORDER BY seq LIMIT ?",
            (queue, max(at_once - active, 0)),
        )
        return [
            QueueMessage(id=id, queue=queue, at=at, cause=cause, data=decode(reads.load(self._db, data)))
            for id, at, cause, data in rows
        ]
