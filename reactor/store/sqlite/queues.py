"""Named durable queues inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence

from reactor.contracts.store import QueueMessage
from reactor.store.codec import CorruptRecord, decode, encode
from reactor.store.sqlite.database import load
from reactor.store.sqlite.gathered import Gathered


class Queues(Gathered):
    def push(self, messages: Sequence[QueueMessage]) -> None:
        for message in messages:
            data = self._keep(message.id, encode(message.data))
            self._db.execute(
                "INSERT OR IGNORE INTO queue (id, queue, at, cause, data) VALUES (?, ?, ?, ?, ?)",
                (message.id, message.queue, message.at, message.cause, data),
            )
            if self._db.changes():
                self.moved[waiting(message.queue)] += 1
                self.news.queues.add(message.queue)

    def taken(self, message: str, event: str) -> None:
        """The message waits no more: it became an event."""
        row = self._one("SELECT queue FROM queue WHERE id = ? AND event IS NULL", message)
        self._db.execute("UPDATE queue SET event = ? WHERE id = ?", (event, message))
        if row is not None:
            self.moved[waiting(row[0])] -= 1

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
                self._drop("?", id)
        rows = self._db.execute(
            "SELECT id, at, cause, CAST(data AS BLOB) FROM queue WHERE queue = ? AND event IS NULL"
            " ORDER BY seq LIMIT ?",
            (queue, max(at_once - active, 0)),
        )
        found = []
        for id, at, cause, data in rows:
            message = QueueMessage(id=id, queue=queue, at=at, cause=cause, data=None)
            try:
                message.data = decode(load(self._db, data))
            except (CorruptRecord, ValueError, TypeError) as error:
                message.invalid = f"the message cannot be read: {error}"
            found.append(message)
        return found


def waiting(queue: str) -> str:
    """The name under which the number of a queue's waiting messages is kept."""
    return f"queue {queue}"
