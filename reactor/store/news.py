"""What a transaction has to tell once it is committed."""

from __future__ import annotations

from reactor.contracts.store import Hints


class News:
    """Gathered while rows are written; `hints` makes of it what watchers are told."""

    __slots__ = ("due", "ended", "lost", "queues", "signalled")

    def __init__(self) -> None:
        self.due = False
        self.signalled: list[str] = []
        self.ended: list[str] = []
        self.queues: set[str] = set()
        self.lost: list[str] = []

    def copy(self) -> News:
        other = News()
        other.due, other.queues = self.due, set(self.queues)
        other.signalled, other.ended, other.lost = list(self.signalled), list(self.ended), list(self.lost)
        return other

    def hints(self) -> Hints | None:
        """None when there is nothing to tell."""
        if not (self.due or self.signalled or self.ended or self.queues or self.lost):
            return None
        return Hints(
            due=self.due, signalled=self.signalled, ended=self.ended, queues=sorted(self.queues), lost=self.lost
        )
