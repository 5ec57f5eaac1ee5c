"""The last good version of each flow: a bad file never takes a good flow down, and what is gone for under a second was
an editor's save."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from reactor.contracts.plan import Plan

EDITOR_SAVE = 1.0
"""Seconds for which a file, or a flow of a file of several, may be gone."""


class LastGood:
    """Plans by file and flow. Times are on the monotonic clock."""

    def __init__(self) -> None:
        self._plans: dict[str, dict[str, Plan]] = {}
        self._lost: dict[tuple[str, str], tuple[float, Plan]] = {}
        """Flows that are gone from a file of several, and since when."""

    def of(self, path: str) -> dict[str, Plan]:
        return self._plans.setdefault(path, {})

    def keep(self, path: str, plans: Mapping[str, Plan]) -> None:
        """Versions that ran before the start, for flows whose file has errors now."""
        good = self.of(path)
        for name, plan in plans.items():
            good.setdefault(name, plan)

    def named(self, path: str, names: Collection[str], now: float) -> None:
        """The file has flows of these names now; without a name, nobody knows which flow was meant."""
        good = self._plans.get(path, {})
        if "" in names or not good:
            return
        for name in set(good) - set(names):
            if len(good) > 1 and not set(names) - set(good):
                self._lost[(path, name)] = (now, good[name])
            del good[name]
        for key in [key for key in self._lost if key[0] == path and key[1] in names]:
            del self._lost[key]

    def forget(self, path: str) -> None:
        self._plans.pop(path, None)

    def forget_lost(self, now: float, files: Collection[str]) -> bool:
        """Whether a flow that was gone from a file, or its file from `files`, is so for good."""
        gone = [key for key, (since, _) in self._lost.items() if now - since >= EDITOR_SAVE or key[0] not in files]
        for key in gone:
            del self._lost[key]
        return bool(gone)

    def lost(self) -> Iterator[tuple[str, str, Plan]]:
        """File, name and plan of flows that may come back."""
        for (path, name), (_, plan) in self._lost.items():
            yield path, name, plan

    def due(self) -> list[float]:
        return [since + EDITOR_SAVE for since, _ in self._lost.values()]
